/* prelude.c: the part of the Lisp that is written in Lisp. Run at every start, in order. Names that
 * begin with % are for the prelude itself.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <string.h>

static const char *const prelude[] = {
    /* ---- Syntax ----------------------------------------------------------------------------- */
    "(define-syntax let"
    "  (syntax-rules ()"
    "    ((_ ((name init) ...) . body) ((lambda (name ...) . body) init ...))"
    "    ((_ tag ((name init) ...) . body)"
    "     ((let () (define (tag name ...) . body) tag) init ...))))",

    "(define-syntax let*"
    "  (syntax-rules ()"
    "    ((_ () . body) (let () . body))"
    "    ((_ (binding . rest) . body) (let (binding) (let* rest . body)))))",

    "(define-syntax letrec"
    "  (syntax-rules ()"
    "    ((_ ((name init) ...) . body) (let () (define name init) ... (let () . body)))))",

    "(define-syntax letrec*"
    "  (syntax-rules () ((_ . rest) (letrec . rest))))",

    "(define-syntax and"
    "  (syntax-rules ()"
    "    ((_) #t)"
    "    ((_ test) test)"
    "    ((_ test . rest) (if test (and . rest) #f))))",

    "(define-syntax or"
    "  (syntax-rules ()"
    "    ((_) #f)"
    "    ((_ test) test)"
    "    ((_ test . rest) (let ((it test)) (if it it (or . rest))))))",

    "(define-syntax when"
    "  (syntax-rules () ((_ test . body) (if test (begin . body)))))",

    "(define-syntax unless"
    "  (syntax-rules () ((_ test . body) (if test (void) (begin . body)))))",

    "(define-syntax cond"
    "  (syntax-rules (else =>)"
    "    ((_) (void))"
    "    ((_ (else . body)) (begin . body))"
    "    ((_ (test => receiver) . rest)"
    "     (let ((it test)) (if it (receiver it) (cond . rest))))"
    "    ((_ (test) . rest) (or test (cond . rest)))"
    "    ((_ (test . body) . rest) (if test (begin . body) (cond . rest)))))",

    "(define-syntax case"
    "  (syntax-rules () ((_ key clause ...) (let ((it key)) (%case it clause ...)))))",

    "(define-syntax %case"
    "  (syntax-rules (else)"
    "    ((_ it) (void))"
    "    ((_ it (else . body)) (begin . body))"
    "    ((_ it ((datum) . body) . rest)"
    "     (if (eqv? it 'datum) (begin . body) (%case it . rest)))"
    "    ((_ it (data . body) . rest)"
    "     (if (memv it 'data) (begin . body) (%case it . rest)))))",

    "(define-syntax do"
    "  (syntax-rules ()"
    "    ((_ ((name init . step) ...) (test . result) . body)"
    "     (let loop ((name init) ...)"
    "       (if test"
    "           (begin (void) . result)"
    "           (begin (void) (begin . body) (loop (%step name . step) ...)))))))",

    "(define-syntax %step"
    "  (syntax-rules () ((_ name) name) ((_ name step) step)))",

    "(define-syntax delay"
    "  (syntax-rules () ((_ expression) (%make-promise #f (lambda () expression)))))",

    "(define-syntax assert"
    "  (syntax-rules () ((_ test) (if test (void) (error \"assertion failed:\" 'test)))))",

    "(define-syntax define-record-type"
    "  (syntax-rules ()"
    "    ((_ type (make name ...) is? (field . access) ...)"
    "     (begin"
    "       (define type '(type field ...))"
    "       (define make (%record-maker type '(name ...)))"
    "       (define (is? x) (%record? x type))"
    "       (%define-access type field . access) ...))))",

    "(define-syntax %define-access"
    "  (syntax-rules ()"
    "    ((_ type field) (begin))"
    "    ((_ type field get)"
    "     (define get"
    "       (let ((i (%field-index type 'field))) (lambda (r) (%record-ref r type i)))))"
    "    ((_ type field get set)"
    "     (begin"
    "       (%define-access type field get)"
    "       (define set"
    "         (let ((i (%field-index type 'field)))"
    "           (lambda (r value) (%record-set! r type i value))))))))",

    "(define-syntax guard"
    "  (syntax-rules ()"
    "    ((_ (name clause ...) . body)"
    "     ((call/cc"
    "       (lambda (escape)"
    "         (with-exception-handler"
    "          (lambda (name)"
    "            (escape (lambda () (%guard name clause ...))))"
    "          (lambda () (let ((result (let () . body))) (lambda () result))))))))))",

    "(define-syntax %guard"
    "  (syntax-rules (else)"
    "    ((_ name clause ... (else . body)) (cond clause ... (else . body)))"
    "    ((_ name clause ...) (cond clause ... (else (raise name))))))",

    /* ---- Lists ------------------------------------------------------------------------------ */
    "(define (map f first . rest)"
    "  (if (null? rest)"
    "      (let loop ((l first) (done '()))"
    "        (if (null? l) (reverse done) (loop (cdr l) (cons (f (car l)) done))))"
    "      (let loop ((ls (cons first rest)) (done '()))"
    "        (if (memq '() ls)"
    "            (reverse done)"
    "            (loop (map cdr ls) (cons (apply f (map car ls)) done))))))",

    "(define (for-each f first . rest)"
    "  (if (null? rest)"
    "      (let loop ((l first))"
    "        (if (null? l) (void) (begin (f (car l)) (loop (cdr l)))))"
    "      (let loop ((ls (cons first rest)))"
    "        (if (memq '() ls)"
    "            (void)"
    "            (begin (apply f (map car ls)) (loop (map cdr ls)))))))",

    "(define (filter keep? l)"
    "  (let loop ((l l) (done '()))"
    "    (cond ((null? l) (reverse done))"
    "          ((keep? (car l)) (loop (cdr l) (cons (car l) done)))"
    "          (else (loop (cdr l) done)))))",

    "(define (fold-left f start l)"
    "  (if (null? l) start (fold-left f (f start (car l)) (cdr l))))",

    "(define (fold-right f start l)"
    "  (let loop ((l (reverse l)) (result start))"
    "    (if (null? l) result (loop (cdr l) (f (car l) result)))))",

    "(define (reduce f start l)"
    "  (if (null? l) start (fold-left (lambda (a b) (f b a)) (car l) (cdr l))))",

    "(define (append-map f l) (apply append (map f l)))",

    "(define (delete x l) (filter (lambda (y) (not (equal? x y))) l))",

    "(define (any ok? l)"
    "  (and (pair? l) (or (ok? (car l)) (any ok? (cdr l)))))",

    "(define (every ok? l)"
    "  (or (null? l) (and (ok? (car l)) (every ok? (cdr l)))))",

    "(define (iota n . options)"
    "  (let ((start (if (pair? options) (car options) 0))"
    "        (step (if (and (pair? options) (pair? (cdr options))) (cadr options) 1)))"
    "    (let loop ((i (- n 1)) (l '()))"
    "      (if (< i 0) l (loop (- i 1) (cons (+ start (* i step)) l))))))",

    "(define (list-copy l) (append l '()))",

    "(define (last-pair l) (if (pair? (cdr l)) (last-pair (cdr l)) l))",

    "(define (cons* x . rest)"
    "  (if (null? rest) x (cons x (apply cons* rest))))",

    "(define (cadar l) (car (cdar l)))",

    "(define (cdddr l) (cdr (cddr l)))",

    "(define (cadddr l) (car (cdddr l)))",

    "(define (%merge a b less?)"
    "  (let loop ((a a) (b b) (done '()))"
    "    (cond ((null? a) (%append-reverse done b))"
    "          ((null? b) (%append-reverse done a))"
    "          ((less? (car b) (car a)) (loop a (cdr b) (cons (car b) done)))"
    "          (else (loop (cdr a) b (cons (car a) done))))))",

    "(define (%append-reverse a b)"
    "  (if (null? a) b (%append-reverse (cdr a) (cons (car a) b))))",

    "(define (sort x less?)"
    "  (define (take n l)"
    "    (if (= n 1)"
    "        (list (car l))"
    "        (let ((half (quotient n 2)))"
    "          (%merge (take half l) (take (- n half) (list-tail l half)) less?))))"
    "  (cond ((vector? x) (list->vector (sort (vector->list x) less?)))"
    "        ((null? x) '())"
    "        (else (take (length x) x))))",

    /* ---- Control ---------------------------------------------------------------------------- */
    "(define (eval form . environment) ((%compile form)))",

    "(define (load name)"
    "  (let ((port (open-input-file name)))"
    "    (let loop ((last (void)))"
    "      (let ((form (read port)))"
    "        (if (eof-object? form)"
    "            (begin (close-port port) last)"
    "            (loop (eval form)))))))",

    "(define (dynamic-wind before thunk after)"
    "  (before)"
    "  (set! %winders (cons (cons before after) %winders))"
    "  (let ((result (thunk)))"
    "    (set! %winders (cdr %winders))"
    "    (after)"
    "    result))",

    "(define (%rewind to)"
    "  (cond ((eq? %winders to))"
    "        ((< (length %winders) (length to))"
    "         (%rewind (cdr to))"
    "         ((caar to))"
    "         (set! %winders to))"
    "        (else"
    "         (let ((after (cdar %winders)))"
    "           (set! %winders (cdr %winders))"
    "           (after)"
    "           (%rewind to)))))",

    "(define (call/cc receiver)"
    "  (let ((winders %winders))"
    "    (%call/cc"
    "     (lambda (k)"
    "       (receiver (lambda results"
    "                   (%rewind winders)"
    "                   (k (apply values results))))))))",

    "(define call-with-current-continuation call/cc)",

    "(define %values '(values))",

    "(define (values . results)"
    "  (if (and (pair? results) (null? (cdr results)))"
    "      (car results)"
    "      (%record %values results)))",

    "(define (call-with-values producer receiver)"
    "  (let ((results (producer)))"
    "    (if (%record? results %values)"
    "        (apply receiver (%record-ref results %values 1))"
    "        (receiver results))))",

    "(define-syntax receive"
    "  (syntax-rules ()"
    "    ((_ names expression . body)"
    "     (call-with-values (lambda () expression) (lambda names . body)))))",

    "(define (with-exception-handler handler thunk)"
    "  (let* ((outer %handlers) (inner (cons handler outer)))"
    "    (dynamic-wind (lambda () (set! %handlers inner))"
    "                  thunk"
    "                  (lambda () (set! %handlers outer)))))",

    "(define (raise x)"
    "  (if (null? %handlers)"
    "      (%uncaught x)"
    "      (let ((handler (car %handlers)))"
    "        (set! %handlers (cdr %handlers))"
    "        (handler x)"
    "        (raise x))))",

    "(define (%field-index type field)"
    "  (let loop ((names type) (i 0))"
    "    (cond ((null? names) (error \"no such field:\" field))"
    "          ((and (> i 0) (eq? (car names) field)) i)"
    "          (else (loop (cdr names) (+ i 1))))))",

    "(define (%record-maker type names)"
    "  (let ((indices (map (lambda (name) (%field-index type name)) names)))"
    "    (if (equal? names (cdr type))"
    "        (lambda fields"
    "          (if (= (length fields) (length names))"
    "              (apply %record type fields)"
    "              (error \"wrong number of fields for\" (car type))))"
    "        (lambda fields"
    "          (let ((record (apply %record type (map (lambda (name) #f) (cdr type)))))"
    "            (for-each (lambda (i field) (%record-set! record type i field))"
    "                      indices fields)"
    "            record)))))",

    "(define-record-type promise (%make-promise done content) promise?"
    "  (done %promise-done %set-promise-done!)"
    "  (content %promise-content %set-promise-content!))",

    "(define (force p)"
    "  (if (not (promise? p))"
    "      p"
    "      (begin"
    "        (if (not (%promise-done p))"
    "            (let ((result ((%promise-content p))))"
    "              (if (not (%promise-done p))"
    "                  (begin (%set-promise-done! p #t) (%set-promise-content! p result)))))"
    "        (%promise-content p))))",

    /* ---- Numbers, texts, tables ------------------------------------------------------------- */
    "(define (zero? x) (= x 0))",

    "(define (positive? x) (> x 0))",

    "(define (negative? x) (< x 0))",

    "(define (square x) (* x x))",

    "(define (real? x) (number? x))",

    "(define exact->inexact inexact)",

    "(define inexact->exact exact)",

    "(define write-string display)",

    "(define write-char display)",

    "(define (string-copy s . range) (apply substring s (if (null? range) '(0) range)))",

    "(define (char>? a b) (char<? b a))",

    "(define (string>? a b) (string<? b a))",

    "(define (string-join strings separator)"
    "  (call-with-output-string"
    "   (lambda (port)"
    "     (let loop ((l strings))"
    "       (if (pair? l)"
    "           (begin"
    "             (display (car l) port)"
    "             (if (pair? (cdr l)) (display separator port))"
    "             (loop (cdr l))))))))",

    "(define (string-for-each f s)"
    "  (let ((n (string-length s)))"
    "    (let loop ((i 0))"
    "      (if (< i n) (begin (f (string-ref s i)) (loop (+ i 1)))))))",

    "(define (call-with-output-string receiver)"
    "  (let ((port (open-output-string)))"
    "    (receiver port)"
    "    (get-output-string port)))",

    "(define (with-output-to-string thunk)"
    "  (let ((port (open-output-string)) (outer (current-output-port)))"
    "    (dynamic-wind (lambda () (%redirect-output port))"
    "                  thunk"
    "                  (lambda () (%redirect-output outer)))"
    "    (get-output-string port)))",

    "(define (call-with-input-file name receiver)"
    "  (let* ((port (open-input-file name)) (result (receiver port)))"
    "    (close-port port)"
    "    result))",

    "(define (call-with-output-file name receiver)"
    "  (let* ((port (open-output-file name)) (result (receiver port)))"
    "    (close-port port)"
    "    result))",

    "(define (vector-map f v) (list->vector (map f (vector->list v))))",

    "(define (vector-for-each f v)"
    "  (let ((n (vector-length v)))"
    "    (let loop ((i 0))"
    "      (if (< i n) (begin (f (vector-ref v i)) (loop (+ i 1)))))))",

    "(define (vector-append . vectors)"
    "  (list->vector (append-map vector->list vectors)))",

    "(define (hash-table-ref table key . fail)"
    "  (let ((value (hash-table-ref/default table key %values)))"
    "    (cond ((not (eq? value %values)) value)"
    "          ((pair? fail) ((car fail)))"
    "          (else (error \"no such key:\" key)))))",

    "(define (hash-table-update! table key f . fail)"
    "  (hash-table-set! table key (f (apply hash-table-ref table key fail))))",

    "(define (hash-table-update!/default table key f default)"
    "  (hash-table-set! table key (f (hash-table-ref/default table key default))))",

    "(define (hash-table-keys table) (map car (hash-table->alist table)))",

    "(define (hash-table-values table) (map cdr (hash-table->alist table)))",

    "(define (hash-table-walk table f)"
    "  (for-each (lambda (entry) (f (car entry) (cdr entry))) (hash-table->alist table)))",

    "(define (alist->hash-table l)"
    "  (let ((table (make-hash-table)))"
    "    (for-each (lambda (entry) (hash-table-set! table (car entry) (cdr entry))) l)"
    "    table))",
};

void install_prelude(void)
{
    for (size_t i = 0; i < COUNT(prelude); i++) {
        value port = make_port(PORT_INPUT, NULL, NULL);
        GC_FRAME(port);
        port_give((struct port *)port, prelude[i], strlen(prelude[i]));
        vm_apply(compile(read_value((struct port *)port)), NIL);
    }
}
