; Errors: raised, caught, passed on, and what runs on the way out.

(define (show . things) (for-each display things) (newline))
(define (report thunk)
  (guard (e ((error-object? e) (condition/report-string e))
            (else (list 'raised e)))
    (thunk)))

(for-each
 (lambda (thunk) (show (report thunk)))
 (list (lambda () (car 5))
       (lambda () (vector-ref (vector 1 2 3) 3))
       (lambda () (+ 1 "2"))
       (lambda () (/ 1 0))
       (lambda () (undefined-procedure 1))
       (lambda () ("not a procedure" 1))
       (lambda () ((lambda (x y) x) 1))
       (lambda () (string-append "a" 'b))
       (lambda () (hash-table-ref (make-hash-table) 'missing))
       (lambda () (error "my own:" 1 "two" 'three '(4 . 5)))
       (lambda () (raise 'a-symbol))
       (lambda () (raise 42))
       (lambda () (assert (= 1 2)))
       (lambda () (letrec ((a b) (b 1)) a))
       (lambda () (let loop ((n 0)) (+ 1 (loop n))))
       (lambda () (read (open-input-string "(1 2")))
       (lambda () (eval '(if)))
       (lambda () (eval '(let ((x)) x)))
       (lambda () (open-input-file "/no/such/file"))
       (lambda () (list-tail '(1 2) 3))
       (lambda () (length '(1 . 2)))
       (lambda () (exact 1.5))
       (lambda () (integer->char -1))))

; Clauses choose; what none of them takes goes on outwards.
(define (classify thunk)
  (guard (e ((string? e) (list 'outer e)))
    (guard (e ((number? e) (list 'number e))
              ((symbol? e) => (lambda (yes) (list 'symbol e yes))))
      (thunk))))
(show (classify (lambda () (raise 1))))
(show (classify (lambda () (raise 'x))))
(show (classify (lambda () (raise "s"))))
(show (classify (lambda () 'fine)))

; Whatever happens, the door is closed.
(define log '())
(define (note x) (set! log (cons x log)))
(show (guard (e (#t (note 'caught) 'recovered))
        (dynamic-wind (lambda () (note 'open))
                      (lambda () (note 'inside) (car '()))
                      (lambda () (note 'closed)))))
(show (reverse log))

; A handler runs where the error occurred, and may leave from there.
(show (call/cc
       (lambda (leave)
         (with-exception-handler
          (lambda (e) (leave (list 'handled (condition/report-string e))))
          (lambda () (+ 1 (error "deep inside")))))))

; Errors within handlers reach the next handler.
(show (report (lambda ()
                (guard (e (#t (error "second")))
                  (error "first")))))

(define c (guard (e (#t e)) (error "parts" 1 2)))
(show (error-object-message c) " " (error-object-irritants c))

; A thousand errors leave nothing behind.
(define (many n) (if (= n 0) 'done (begin (report (lambda () (car n))) (many (- n 1)))))
(show (many 1000))
