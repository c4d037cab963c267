; Macros: syntax-rules, which keep their names apart from the user's, and define-macro.

(define (show . things) (for-each display things) (newline))

(define-syntax swap!
  (syntax-rules ()
    ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))

(define tmp 1)
(define other 2)
(swap! tmp other)
(show tmp " " other)

(define-syntax my-or
  (syntax-rules ()
    ((_) #f)
    ((_ e) e)
    ((_ e rest ...) (let ((t e)) (if t t (my-or rest ...))))))
(show (let ((t 5)) (my-or #f t)))
(show (let ((if list) (let 7)) (my-or #f let)))

(define-syntax while
  (syntax-rules ()
    ((_ test body ...) (let loop () (when test body ... (loop))))))
(define i 0)
(while (< i 5) (display i) (set! i (+ i 1)))
(newline)

(define-syntax for
  (syntax-rules (in from to)
    ((_ x in l body ...) (for-each (lambda (x) body ...) l))
    ((_ x from a to b body ...) (do ((x a (+ x 1))) ((> x b)) body ...))))
(for x in '(a b c) (display x))
(for x from 1 to 5 (display (* x x)) (display " "))
(newline)

; Sequences within sequences.
(define-syntax my-let*-values
  (syntax-rules ()
    ((_ (((name ...) (value ...)) ...) body)
     '((name ... = value ...) ... body))))
(show (my-let*-values (((a b) (1 2)) ((c) (3)) (() ())) end))

(define-syntax last-of
  (syntax-rules () ((_ x ... y) 'y)))
(show (last-of 1 2 3 4))

; A macro that defines macros and functions.
(define-syntax define-accessors
  (syntax-rules ()
    ((_ (name index) ...)
     (begin (define (name v) (vector-ref v index)) ...))))
(define-accessors (first-of 0) (second-of 1) (third-of 2))
(show (second-of (vector 'a 'b 'c)))

(define-syntax define-constant-macro
  (syntax-rules () ((_ name value) (define-syntax name (syntax-rules () ((_) value))))))
(define-constant-macro answer 42)
(show (answer))

; Macros inside procedures see the variables there.
(define (count-to n)
  (define total 0)
  (define-syntax add! (syntax-rules () ((_ x) (set! total (+ total x)))))
  (do ((i 1 (+ i 1))) ((> i n) total) (add! i)))
(show (count-to 100))

; A state machine whose states are macro clauses (Krishnamurthi's automata).
(define-syntax automaton
  (syntax-rules (: ->)
    ((_ init (state : (label -> target) ...) ...)
     (letrec ((state (lambda (input)
                       (if (null? input)
                           'accept
                           (case (car input)
                             ((label) (target (cdr input))) ...
                             (else 'reject)))))
              ...)
       init))))
(define c*r
  (automaton start
             (start : (c -> more))
             (more : (a -> more) (d -> more) (r -> end))
             (end :)))
(show (map c*r '((c a d a d r) (c a r r) (c d d) (x))))

; define-macro works on the forms themselves.
(define-macro (unless-zero n . body) `(if (= ,n 0) 'zero (begin ,@body)))
(show (unless-zero 0 1) " " (unless-zero 5 1 2))

(define-macro (compose . fs)
  (let ((x (gensym)))
    `(lambda (,x)
       ,(let nest ((fs fs)) (if (null? fs) x (list (car fs) (nest (cdr fs))))))))
(show ((compose car cdr cdr) '(1 2 3)))

(define-macro (static-factorial n)
  (let loop ((n n) (product 1)) (if (= n 0) product (loop (- n 1) (* n product)))))
(show (static-factorial 12))

; Quasiquotation.
(define n 3)
(show `(1 ,(+ 1 1) ,@(map square (iota n)) #(v ,n) (nested `(a ,(b ,(+ n 1)))) . tail))
