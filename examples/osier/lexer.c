/* Source text to tokens. */
#include "compiler.h"

#include <ctype.h>
#include <stdlib.h>

/* Each token's text or description, in the order of enum token_kind. */
#define WORD(name, text) text,
static const char *const token_texts[] = {"end of input",
                                          "a name",
                                          "a number",
                                          "a string",
                                          "a string",
                                          "the rest of a string",
                                          "the rest of a string",
                                          KEYWORDS(WORD) PUNCTUATION(WORD)};
#undef WORD

const char *token_name(enum token_kind kind)
{
    return token_texts[kind];
}

static int peek(const struct compiler *c, int ahead)
{
    for (int i = 0; i < ahead; i++)
        if (!c->at[i])
            return 0;
    return (unsigned char)c->at[ahead];
}

static bool is_name_start(int ch)
{
    return isalpha(ch) || ch == '_' || ch >= 0x80;
}

static bool is_name_part(int ch)
{
    return is_name_start(ch) || isdigit(ch);
}

static void skip_space(struct compiler *c)
{
    for (;; c->at++) {
        if (*c->at == '#')
            while (*c->at && *c->at != '\n')
                c->at++;
        if (*c->at == '\n') {
            c->line++;
            c->current.after_newline = true;
        } else if (!*c->at || !isspace((unsigned char)*c->at)) {
            return;
        }
    }
}

static void lex_name(struct compiler *c)
{
    const char *start = c->at;
    while (is_name_part(peek(c, 0)))
        c->at++;
    c->current.kind = TOKEN_NAME;
    c->current.text = (struct text){start, (size_t)(c->at - start)};
    for (int kind = TOKEN_AND; kind <= TOKEN_WHILE; kind++)
        if (text_is(c->current.text, token_texts[kind]))
            c->current.kind = (enum token_kind)kind;
}

static void lex_radix(struct compiler *c, int radix)
{
    double number = 0;
    const char *start = c->at += 2;
    for (; isalnum(peek(c, 0)) || *c->at == '_'; c->at++) {
        if (*c->at == '_')
            continue;
        int digit = isdigit(peek(c, 0)) ? *c->at - '0' : tolower(peek(c, 0)) - 'a' + 10;
        if (digit >= radix)
            syntax_error(c, c->line, "'%c' is no digit in base %d", *c->at, radix);
        number = number * radix + digit;
    }
    if (c->at == start)
        syntax_error(c, c->line, "a number in base %d needs digits", radix);
    c->current.number = number;
}

static void copy_digits(struct compiler *c, char *text, size_t *n)
{
    for (; isdigit(peek(c, 0)) || *c->at == '_'; c->at++) {
        if (*n >= 300)
            syntax_error(c, c->line, "a number has too many digits");
        if (*c->at != '_')
            text[(*n)++] = *c->at;
    }
}

static void lex_decimal(struct compiler *c)
{
    char text[304];
    size_t n = 0;
    copy_digits(c, text, &n);
    if (*c->at == '.' && isdigit(peek(c, 1))) {
        text[n++] = *c->at++;
        copy_digits(c, text, &n);
    }
    bool is_signed = peek(c, 1) == '+' || peek(c, 1) == '-';
    if (tolower(peek(c, 0)) == 'e' && isdigit(peek(c, is_signed ? 2 : 1))) {
        text[n++] = *c->at++;
        if (is_signed)
            text[n++] = *c->at++;
        copy_digits(c, text, &n);
    }
    if (is_name_part(peek(c, 0)))
        syntax_error(c, c->line, "a number runs into '%c'", *c->at);
    text[n] = 0;
    c->current.number = strtod(text, NULL);
}

static void lex_number(struct compiler *c)
{
    c->current.kind = TOKEN_NUMBER;
    if (*c->at == '0' && peek(c, 1) == 'x')
        lex_radix(c, 16);
    else if (*c->at == '0' && peek(c, 1) == 'b')
        lex_radix(c, 2);
    else
        lex_decimal(c);
}

static unsigned lex_hex(struct compiler *c, int most)
{
    unsigned number = 0;
    int digits = 0;
    for (; digits < most && isxdigit(peek(c, 0)); digits++, c->at++)
        number = number * 16 +
                 (unsigned)(isdigit(peek(c, 0)) ? *c->at - '0' : tolower(peek(c, 0)) - 'a' + 10);
    if (!digits)
        syntax_error(c, c->line, "an escape needs hexadecimal digits");
    return number;
}

static char *put_utf8(char *to, unsigned point)
{
    if (point < 0x80) {
        *to++ = (char)point;
        return to;
    }
    int rest = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(lead[rest] | point >> (6 * rest));
    while (rest--)
        *to++ = (char)(0x80 | (point >> (6 * rest) & 0x3F));
    return to;
}

static char *lex_unicode(struct compiler *c, char *to)
{
    if (*c->at++ != '{')
        syntax_error(c, c->line, "expected '{' after '\\u'");
    unsigned point = lex_hex(c, 6);
    if (*c->at++ != '}' || point > 0x10FFFF)
        syntax_error(c, c->line, "'\\u{…}' needs a code point of at most 10FFFF");
    return put_utf8(to, point);
}

/* The character after a backslash. What it stands for is never longer than it. */
static char *lex_escape(struct compiler *c, char *to)
{
    static const char from[] = "nrte0\\\"$", meaning[] = "\n\r\t\033\0\\\"$";
    char ch = *c->at++;
    if (ch == 'u')
        return lex_unicode(c, to);
    if (ch == 'x') {
        *to++ = (char)lex_hex(c, 2);
        return to;
    }
    const char *found = ch ? strchr(from, ch) : NULL;
    if (!found)
        syntax_error(c, c->line, "unknown escape '\\%c'", ch ? ch : ' ');
    *to++ = meaning[found - from];
    return to;
}

static size_t string_extent(const struct compiler *c)
{
    size_t n = 0;
    while (c->at[n] && c->at[n] != '"')
        n += c->at[n] == '\\' && c->at[n + 1] ? 2 : 1;
    return n;
}

/* From behind the opening quote, or, as the rest of a string, behind the '}' of an interpolation.
 */
static void lex_string(struct compiler *c, bool is_rest)
{
    int first_line = c->line;
    char *text = arena_alloc(c, string_extent(c) + 1), *to = text;
    c->current.kind = is_rest ? TOKEN_STRING_LAST : TOKEN_STRING;
    while (*c->at != '"') {
        if (!*c->at) {
            if (c->incomplete)
                *c->incomplete = true;
            syntax_error(c, first_line, "a string is not closed");
        }
        if (*c->at == '$' && c->at[1] == '{') {
            c->current.kind = is_rest ? TOKEN_STRING_MIDDLE : TOKEN_STRING_FIRST;
            break;
        }
        if (*c->at == '\n')
            c->line++;
        if (*c->at == '\\') {
            c->at++;
            to = lex_escape(c, to);
        } else {
            *to++ = *c->at++;
        }
    }
    c->current.text = (struct text){text, (size_t)(to - text)};
    if (*c->at == '"') {
        c->at++;
        return;
    }
    c->at += 2;
    if (c->interpolations == (int)(sizeof c->braces / sizeof c->braces[0]))
        syntax_error(c, c->line, "strings are nested too deeply");
    c->braces[c->interpolations++] = 0;
}

static void lex_punctuation(struct compiler *c)
{
    for (int kind = TOKEN_DOTDOTDOT; kind <= TOKEN_BNOT; kind++) {
        size_t length = strlen(token_texts[kind]);
        if (strncmp(c->at, token_texts[kind], length) == 0) {
            c->current.kind = (enum token_kind)kind;
            c->at += length;
            return;
        }
    }
    syntax_error(c, c->line, "unexpected character '%c'", *c->at);
}

/* A '}' either closes a brace or goes on with the string around an interpolation. */
static bool closes_interpolation(struct compiler *c)
{
    if (!c->interpolations)
        return false;
    int *open = &c->braces[c->interpolations - 1];
    if (*c->at == '{')
        ++*open;
    if (*c->at != '}')
        return false;
    if ((*open)-- > 0)
        return false;
    c->interpolations--;
    return true;
}

void lexer_advance(struct compiler *c)
{
    c->previous = c->current;
    c->current = (struct token){.kind = TOKEN_END};
    skip_space(c);
    c->current.line = c->line;
    c->current.text = (struct text){c->at, 1};
    if (!*c->at)
        return;
    bool is_rest = closes_interpolation(c);
    if (is_rest || *c->at == '"') {
        c->at++;
        lex_string(c, is_rest);
    } else if (is_name_start(peek(c, 0))) {
        lex_name(c);
    } else if (isdigit(peek(c, 0))) {
        lex_number(c);
    } else {
        lex_punctuation(c);
    }
}

void lexer_start(struct compiler *c, const char *source)
{
    c->at = source;
    c->line = 1;
    lexer_advance(c);
}
