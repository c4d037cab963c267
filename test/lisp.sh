#!/usr/bin/env bash
# The Lisp of examples/lisp: its programs print what they should, and so do its command line, its
# prompt and its errors. LISP names another binary.
cd "$(dirname "$0")/.." || exit 1
. test/tap.bash
LISP=${LISP:-$BUILD/lisp}
export LISP_HISTORY=$scratch/history
programs=examples/lisp/programs

# evaluates EXPRESSION VALUE
evaluates() {
    prints "$2"$'\n' "$LISP" -e "$1"
}

file_of() { # TEXT: a file with that text
    printf '%s\n' "$1" >"$scratch/program.scm"
    echo "$scratch/program.scm"
}

runs_program() {
    prints_file "$programs/$1.expected" "$LISP" "$programs/$1.scm"
}

runs_under_stress() { # PROGRAM SWITCHES: with the heap's own checks on
    GCHEAP_DEBUG=$2 runs_program "$1"
}

is_silent() { # no trace unless asked for
    "$LISP" -e '(gc)' >"$scratch/out" 2>&1 && diff /dev/null "$scratch/out"
}

tells_who_keeps() {
    GCHEAP_DEBUG=types "$LISP" -e '(define kept (list 1 2))' -e '(display (> (gc-path kept) 0))' \
        -e '(display (gc-path 1))' >"$scratch/out" 2>"$scratch/err"
    [[ $(cat "$scratch/out") == '#t#f' ]] && grep -q '^gcheap: path to .* at 0x.*:$' "$scratch/err" &&
        grep -q '^gcheap:   struct symbol.* "kept".global at ' "$scratch/err" || { cat "$scratch/out" "$scratch/err"; return 1; }
}

exits() {
    "$LISP" -e '(begin (display "bye") (exit 7))' -e '(car 1)' >"$scratch/out" 2>&1
    [[ $? == 7 && $(cat "$scratch/out") == bye ]]
}

cuts_irritants_short() { # an error about a long or endless list says so in some 500 bytes
    "$LISP" -e '(define l (list 1 2))' -e '(begin (set-cdr! (cdr l) l) (error "endless:" l))' \
        2>"$scratch/err"
    [[ $? == 1 && $(wc -c <"$scratch/err") -lt 600 ]] &&
        grep -q '^-e:1: endless: (1 2 1 2 .*\.\.\.$' "$scratch/err"
}

shows_help() {
    "$LISP" --help | grep -q '^usage: lisp'
}

converses_at_a_terminal() { # Ctrl-D leaves; the history is kept
    rm -f "$LISP_HISTORY"
    at_a_terminal $'(+ 40\n2)\n(car 1)\n(* 6 70)\n' '^420' "$LISP" &&
        grep -q '^42' "$scratch/out" && grep -q 'expected a pair, got 1' "$scratch/out" &&
        grep -q '40' "$LISP_HISTORY" || { cat "$scratch/out"; return 1; }
}

for program in "$programs"/*.scm; do
    name=$(basename "$program" .scm)
    # A sanitizer's shadow memory on top of a gigabyte is more than a small host has.
    [[ $name == gigabyte && -n $SAN ]] && continue
    check "program $name" runs_program "$name"
done
# There is nothing to find, and nothing is told. What debugging costs has bounds: errors fills a stack of 64 MiB.
if [[ -z $SAN ]]; then
    for name in bignum continuations derive errors words; do
        check "program $name, all that debugging checks" silent_under_all runs_program "$name"
    done
fi
for name in macros continuations errors words; do
    check "program $name, poisoned, collecting often" runs_under_stress "$name" nth=16,poison
done

# Values
check 'integer arithmetic' evaluates '(list (+ 1 2) (* 6 7) (quotient -7 2) (modulo -7 2))' \
    '(3 42 -3 1)'
check 'integers outgrow 63 bits' evaluates \
    '(list (* 4611686018427387903 1) (+ 4611686018427387903 1) (- -4611686018427387904 1))' \
    '(4611686018427387903 4.611686018427388e+18 -4.611686018427388e+18)'
check 'comparisons of negative numbers' evaluates \
    '(list (< -1 1) (> -1 -2) (<= 1 -1) (>= -5 -5) (= -1 -1.0))' '(#t #t #f #t #t)'
check 'reals read back' evaluates '(list 0.1 1e100 -2.5 (/ 1 3) (sqrt 2) +inf.0)' \
    '(0.1 1e+100 -2.5 0.3333333333333333 1.4142135623730951 +inf.0)'
check 'strings' evaluates '(string-append "a\nb" (substring "hello" 1 3))' '"a\nbel"'
check 'quasiquote' evaluates '`(1 ,@(list 2 3) ,(+ 2 2) . 5)' '(1 2 3 4 . 5)'
check 'named let' evaluates '(let loop ((i 0) (l (list))) (if (= i 3) l (loop (+ i 1) (cons i l))))' \
    '(2 1 0)'
check 'several -e' prints $'1\n2\n' "$LISP" -e 1 -e '(define x 2)' -e x
check 'arguments' prints $'("a" "-e" "b")\n' "$LISP" \
    "$(file_of '(write (cdr (command-line))) (newline)')" a -e b
check 'the first line may name an interpreter' prints '3' "$LISP" \
    "$(file_of $'#!/usr/bin/env lisp\n(display (+ 1 2))')"
check 'exit' exits

# Depth
check 'ten million tail calls' evaluates \
    '(let loop ((i 0)) (if (= i 10000000) i (loop (+ i 1))))' 10000000
check 'mutual tail calls' evaluates \
    '(begin (define (e? n) (if (= n 0) #t (o? (- n 1)))) (define (o? n) (if (= n 0) #f (e? (- n 1)))) (e? 3000001))' \
    '#f'
check 'a million calls deep' evaluates \
    '(begin (define (count n) (if (= n 0) 0 (+ 1 (count (- n 1))))) (count 1000000))' 1000000
check 'too deep' fails 1 '-e:1: recursion too deep' "$LISP" -e '(define (f n) (+ 1 (f n)))' -e '(f 1)'
check 'long lists print and compare' evaluates \
    '(let ((a (iota 500000)) (b (iota 500000))) (list (equal? a b) (string-length (with-output-to-string (lambda () (write a))))))' \
    '(#t 3388891)'
check 'deep lists print or fail' fails 1 '-e:1: nested too deeply' "$LISP" -e \
    '(do ((i 0 (+ i 1)) (l (list) (list l))) ((= i 1000000) (write l)))'
check 'a deeply nested source fails' fails 1 'stdin:1: nested too deeply' bash -c \
    "{ printf '(%.0s' {1..300000}; } | $LISP; exit 1"
check 'cyclic lists are no lists' evaluates \
    '(let ((l (list 1 2 3))) (set-cdr! (cddr l) l) (list? l))' '#f'

# The collector's part
check 'forgotten files are closed' bash -c "ulimit -n 64; [[ \$($LISP -e '(let loop ((n 1000)) (if (> n 0)
    (begin (open-input-file \"LICENSE\") (loop (- n 1))) (quote good)))') == good ]]"
check 'symbols that nobody holds go away' evaluates \
    "(begin (do ((i 0 (+ i 1))) ((= i 300000)) (string->symbol (number->string i 2))) (gc) (gc)
        (< (cdr (assq 'live (gc-stats))) 4000000))" '#t'

# Errors
check 'an error names file and line' fails 1 "$scratch/program.scm:3: car: expected a pair, got 5" \
    "$LISP" "$(file_of $'(define (f x)\n  (+ 1\n     (car x)))\n\n(f 5)')"
check 'an error within library procedures names the caller' fails 1 \
    "$scratch/program.scm:2: +: expected a number, got a" \
    "$LISP" "$(file_of $'(define (g l)\n  (map (lambda (x) (+ x 1)) l))\n(display (g (list (quote a))))')"
check 'syntax errors too' fails 1 "$scratch/program.scm:2: bad syntax: (if)" \
    "$LISP" "$(file_of $'(define (f)\n  (if))')"
check 'a list that does not end' fails 1 "$scratch/program.scm:2: this list does not end" \
    "$LISP" "$(file_of $'(display 1)\n(car (cdr 5)\n')"
check 'an unbound variable' fails 1 '-e:1: unbound variable: nowhere' "$LISP" -e 'nowhere'
check 'raise' fails 1 '-e:1: uncaught: (a b)' "$LISP" -e "(begin (raise '(a b)) 1)"
check 'irritants are cut short' cuts_irritants_short
check 'out of memory is an error' fails 1 '-e:1: out of memory' \
    "$LISP" --heap-limit 32 -e '(let loop ((l (list))) (loop (cons (make-vector 1000) l)))'
check 'and can be survived' prints $'"out of memory"\n42\n' "$LISP" --heap-limit 32 -e \
    '(guard (e (#t (condition/report-string e))) (let loop ((l (list))) (loop (cons l (make-vector 1000 l)))))' \
    -e '(length (iota 42))'

# The prompt
check 'the prompt evaluates' converses "$LISP" $'(define x 20)\n(* x 2) "s"\n(define (f) 1) (f)' \
    $'40\n"s"\n1\n' ''
check 'an error returns to the prompt' converses "$LISP" $'(+ 1 1)\n(car 5)\n(+ 2 2)' $'2\n4\n' \
    $'stdin:2: car: expected a pair, got 5\n'
check 'a stray parenthesis too' converses "$LISP" $'(+ 1 1))\n(+ 2 2)' $'2\n4\n' \
    $'stdin:1: unexpected )\n'
check 'forms over several lines' converses "$LISP" $'(list 1\n  ; a comment\n  2 #| another |#\n  3)' \
    $'(1 2 3)\n' ''
check 'definitions survive an error' converses "$LISP" $'(define n 1)\n(begin (set! n 2) (car n))\nn' \
    $'2\n' $'stdin:2: car: expected a pair, got 2\n'
check 'continuations reach back to earlier lines' converses "$LISP" \
    $'(define k #f)\n(+ 1 (call/cc (lambda (c) (set! k c) 1)))\n(k 10)' $'2\n11\n' ''
check 'programs read the lines after them' converses "$LISP" $'(read-line)\nsome text\n(+ 1 1)' \
    $'"some text"\n2\n' ''
if [[ -z $SAN ]] && command -v script >/dev/null; then
    check 'the prompt at a terminal' converses_at_a_terminal
fi

# The command line
check '--help' shows_help
dumps() {
    command -v python3 >/dev/null || return 0
    "$LISP" -e "(define l (iota 5000))" -e "(gc-dump \"$scratch/heap\")" &&
        src/api/tools/gcheap-heap census "$scratch/heap" >"$scratch/out" && cat "$scratch/out" && grep -q '^[0-9]* objects, ' "$scratch/out"
}
check '(gc-dump path)' dumps
check '(gc-dump path) cannot write' fails 1 '-e:1: /nowhere/heap: No such file or directory' "$LISP" -e '(gc-dump "/nowhere/heap")'
check '--gc-trace' traces "$LISP" --gc-trace -e '(gc)' -e '(gc)'
check 'no trace unasked' is_silent
check '(gc-path x) tells who keeps x alive' tells_who_keeps
check 'an unknown option' bash -c "! $LISP --nonsense 2>/dev/null"
check 'a bad limit' fails 2 'lisp: not a number of megabytes: x' "$LISP" --heap-limit x -e 1
check 'a missing file' fails 1 'lisp: /no/such/file: No such file or directory' "$LISP" /no/such/file

done_testing
