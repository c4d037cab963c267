; A short show: what `make run` runs. Collections happen all the while; with GCHEAP_TRACE=1 each of
; them says so on standard error.

(define (show . things) (for-each display things) (newline))

(define (heading text)
  (newline)
  (show text)
  (show (make-string (string-length text) #\=)))

(define (stat name) (cdr (assq name (gc-stats))))

; Runs the thunk and says how long it took and what the collector did meanwhile.
(define (timed thunk)
  (let* ((start (runtime))
         (cycles (stat 'cycles))
         (allocated (stat 'allocated))
         (result (thunk))
         (ms (exact (round (* 1000 (- (runtime) start))))))
    (show "  [" ms " ms, " (quotient (- (stat 'allocated) allocated) 1000000)
          " MB allocated, " (- (stat 'cycles) cycles) " collections]")
    result))

; ---- Mandelbrot's set, in complex numbers made of pairs ----

(define (c+ a b) (cons (+ (car a) (car b)) (+ (cdr a) (cdr b))))
(define (c* a b)
  (cons (- (* (car a) (car b)) (* (cdr a) (cdr b)))
        (+ (* (car a) (cdr b)) (* (cdr a) (car b)))))
(define (far? z) (> (+ (square (car z)) (square (cdr z))) 4.0))

(define (escape c limit)
  (let loop ((z c) (n 0))
    (if (or (= n limit) (far? z)) n (loop (c+ (c* z z) c) (+ n 1)))))

(define shades " .:-=+*#%@")
(define (mandelbrot width height)
  (do ((y 0 (+ y 1))) ((= y height))
    (display "  ")
    (do ((x 0 (+ x 1))) ((= x width))
      (let ((n (escape (cons (- (* 3.0 (/ x width)) 2.1) (- (* 2.4 (/ y height)) 1.2)) 2000)))
        (write-char (string-ref shades (if (= n 2000) 9 (modulo n 9))))))
    (newline)))

(heading "Mandelbrot's set: every number on the heap")
(timed (lambda () (mandelbrot 76 28)))

; ---- Queens ----

(define (safe? column rows)
  (let loop ((rows rows) (distance 1))
    (or (null? rows)
        (and (not (= (car rows) column))
             (not (= (abs (- (car rows) column)) distance))
             (loop (cdr rows) (+ distance 1))))))

(define (queens n)
  (let place ((row 0) (rows '()))
    (if (= row n)
        (list rows)
        (append-map (lambda (column)
                      (if (safe? column rows) (place (+ row 1) (cons column rows)) '()))
                    (iota n)))))

(heading "Eleven queens: all solutions, as lists")
(define boards (timed (lambda () (queens 11))))
(show "  " (length boards) " solutions. The middle one:")
(for-each (lambda (column)
            (display "   ")
            (do ((i 0 (+ i 1))) ((= i 11)) (display (if (= i column) " Q" " .")))
            (newline))
          (list-ref boards (quotient (length boards) 2)))

; ---- A language inside the language ----

(define (ev e env)
  (cond ((symbol? e) (cdr (assq e env)))
        ((not (pair? e)) e)
        ((eq? (car e) 'if) (if (ev (cadr e) env) (ev (caddr e) env) (ev (cadddr e) env)))
        ((eq? (car e) 'lambda)
         (lambda args (ev (caddr e) (append (map cons (cadr e) args) env))))
        (else (apply (ev (car e) env) (map (lambda (x) (ev x env)) (cdr e))))))

(heading "Fibonacci by the Y combinator, in a Lisp in the Lisp")
(define fibonacci
  '((lambda (f) (f f 26))
    (lambda (f n) (if (< n 2) n (+ (f f (- n 1)) (f f (- n 2)))))))
(show "  fib 26 = "
      (timed (lambda () (ev fibonacci (list (cons '< <) (cons '+ +) (cons '- -))))))

; ---- A cache with a life of its own ----

(heading "A cache of 200,000 trees, each replaced several times")
(define (tree depth seed)
  (if (= depth 0) seed (cons (tree (- depth 1) seed) (tree (- depth 1) (+ seed 1)))))
(define (sum t) (if (pair? t) (+ (sum (car t)) (sum (cdr t))) t))

(define cache (make-hash-table))
(define (fill-cache rounds)
  (do ((i 0 (+ i 1))) ((= i (* rounds 200000)))
    (hash-table-set! cache (modulo (* i 7919) 200000) (tree 3 i))))
(timed (lambda () (fill-cache 16)))
(show "  " (hash-table-count cache) " entries, sum "
      (fold-left (lambda (total t) (+ total (sum t))) 0 (hash-table-values cache)))

(heading "All in all")
(show "  allocated        " (quotient (stat 'allocated) 1000000) " MB")
(show "  live now         " (quotient (stat 'live) 1000000) " MB")
(show "  collections      " (stat 'cycles))
(show "  longest stall    " (quotient (stat 'longest-stall-ns) 1000) " us")
