; Endless streams, by delayed evaluation.

(define-syntax cons-stream
  (syntax-rules () ((_ head tail) (cons head (delay tail)))))
(define (head s) (car s))
(define (tail s) (force (cdr s)))

(define (take n s) (if (= n 0) '() (cons (head s) (take (- n 1) (tail s)))))
(define (nth n s) (if (= n 0) (head s) (nth (- n 1) (tail s))))
(define (stream-map f . ss)
  (cons-stream (apply f (map head ss)) (apply stream-map f (map tail ss))))
(define (stream-filter keep? s)
  (if (keep? (head s))
      (cons-stream (head s) (stream-filter keep? (tail s)))
      (stream-filter keep? (tail s))))
(define (from n) (cons-stream n (from (+ n 1))))
(define (merge a b)
  (cond ((< (head a) (head b)) (cons-stream (head a) (merge (tail a) b)))
        ((> (head a) (head b)) (cons-stream (head b) (merge a (tail b))))
        (else (cons-stream (head a) (merge (tail a) (tail b))))))

(define (sieve s)
  (cons-stream (head s)
               (sieve (stream-filter (lambda (n) (not (= 0 (remainder n (head s))))) (tail s)))))
(define primes (sieve (from 2)))
(display (take 20 primes)) (newline)
(display (nth 500 primes)) (newline)

(define fibs (cons-stream 0 (cons-stream 1 (stream-map + fibs (tail fibs)))))
(display (take 20 fibs)) (newline)
(display (nth 80 fibs)) (newline)

(define (scale s n) (stream-map (lambda (x) (* n x)) s))
(define hamming
  (cons-stream 1 (merge (scale hamming 2) (merge (scale hamming 3) (scale hamming 5)))))
(display (take 20 hamming)) (newline)
(display (nth 1690 hamming)) (newline)

(define (pascal row)
  (cons-stream row (pascal (map + (cons 0 row) (append row '(0))))))
(for-each (lambda (row) (display row) (newline)) (take 8 (pascal '(1))))

; A stream that nobody holds from its start takes no room: a million elements.
(display (nth 1000000 (from 0))) (newline)
