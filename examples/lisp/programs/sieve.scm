; Prime numbers: the sieve of Eratosthenes, and what can be asked of its result.

(define limit 1000000)
(define composite (make-vector (+ limit 1) #f))

(define (strike! p)
  (do ((i (* p p) (+ i p))) ((> i limit))
    (vector-set! composite i #t)))

(do ((p 2 (+ p 1))) ((> (* p p) limit))
  (if (not (vector-ref composite p)) (strike! p)))

(define (prime? n) (not (vector-ref composite n)))

(define primes
  (let loop ((n limit) (l '()))
    (cond ((< n 2) l)
          ((prime? n) (loop (- n 1) (cons n l)))
          (else (loop (- n 1) l)))))

(display (length primes)) (newline)
(display (list-tail primes (- (length primes) 5))) (newline)

(define (count-twins l)
  (let loop ((l l) (n 0))
    (cond ((null? (cdr l)) n)
          ((= (+ (car l) 2) (cadr l)) (loop (cdr l) (+ n 1)))
          (else (loop (cdr l) n)))))
(display "twins: ") (display (count-twins primes)) (newline)

(define (factors n)
  (let loop ((n n) (l primes))
    (cond ((= n 1) '())
          ((or (null? l) (> (* (car l) (car l)) n)) (list n))
          ((= (remainder n (car l)) 0) (cons (car l) (loop (quotient n (car l)) l)))
          (else (loop n (cdr l))))))
(for-each (lambda (n) (display n) (display " = ") (display (factors n)) (newline))
          '(60 97 1001 123456789 600851475143 999999999989))

(define (goldbach n)
  (let loop ((l primes))
    (if (prime? (- n (car l))) (list (car l) (- n (car l))) (loop (cdr l)))))
(display (map goldbach '(4 28 100 1000 999998))) (newline)
(display "sum: ") (display (fold-left + 0 primes)) (newline)
