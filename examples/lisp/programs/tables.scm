; Hash tables under load: growth, deletion, keys of every kind, and memory for the results of a
; recursive function.

(define (show . things) (for-each display things) (newline))

(define squares (make-hash-table))
(do ((i 0 (+ i 1))) ((= i 100000)) (hash-table-set! squares i (* i i)))
(show (hash-table-count squares))
(do ((i 0 (+ i 1))) ((= i 100000)) (if (odd? i) (hash-table-delete! squares i)))
(show (hash-table-count squares) " " (hash-table-ref/default squares 99998 #f) " "
      (hash-table-ref/default squares 99999 'gone))
(do ((i 0 (+ i 1))) ((= i 100000)) (if (odd? i) (hash-table-set! squares i (- i))))
(show (hash-table-count squares) " " (fold-left + 0 (hash-table-values squares)))

; Filling and emptying again and again must not make it grow.
(define cycling (make-hash-table))
(do ((i 0 (+ i 1))) ((= i 200000))
  (hash-table-set! cycling i i)
  (if (>= i 10) (hash-table-delete! cycling (- i 10))))
(show (sort (hash-table-keys cycling) <))

(define mixed (make-hash-table))
(define some-vector (vector 1 2))
(for-each (lambda (key) (hash-table-set! mixed key (list key)))
          (list 1 1.0 #\1 "1" 'one '(1) '(1 (2 "3")) some-vector #t '() car))
(show (hash-table-count mixed))
(show (map (lambda (key) (hash-table-contains? mixed key))
           (list 1 1.0 #\1 "1" 'one (list 1) (list 1 (list 2 "3")) (vector 1 2) #t '() car 2 '(2))))

(define memory (make-hash-table))
(define (ways coins amount)
  (cond ((= amount 0) 1)
        ((or (< amount 0) (null? coins)) 0)
        (else
         (let ((key (cons amount (car coins))))
           (or (hash-table-ref/default memory key #f)
               (let ((n (+ (ways coins (- amount (car coins))) (ways (cdr coins) amount))))
                 (hash-table-set! memory key n)
                 n))))))
(show "ways to change 200: " (ways '(200 100 50 20 10 5 2 1) 200))
(show "ways to change 1000: " (ways '(200 100 50 20 10 5 2 1) 1000))

(define (collatz n)
  (if (= n 1)
      1
      (or (hash-table-ref/default memory n #f)
          (let ((length (+ 1 (collatz (if (even? n) (quotient n 2) (+ 1 (* 3 n)))))))
            (hash-table-set! memory n length)
            length))))
(define (longest limit)
  (let loop ((n 1) (best 1) (steps 1))
    (if (= n limit)
        (list best steps)
        (let ((s (collatz n)))
          (if (> s steps) (loop (+ n 1) n s) (loop (+ n 1) best steps))))))
(show "longest Collatz sequence below 100000: " (longest 100000))

; Strings made afresh find what was stored under their equals.
(define names (make-hash-table))
(do ((i 0 (+ i 1))) ((= i 20000))
  (hash-table-set! names (string-append "name-" (number->string i)) i))
(define (sum-names)
  (let loop ((i 0) (sum 0))
    (if (= i 20000)
        sum
        (loop (+ i 1)
              (+ sum (hash-table-ref names (string-append "name-" (number->string i))))))))
(show (sum-names))
