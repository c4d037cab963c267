; Binary trees: much garbage beside one tree that lives long.

(define (build depth)
  (if (= depth 0)
      '()
      (cons (build (- depth 1)) (build (- depth 1)))))

(define (check tree)
  (if (null? tree) 1 (+ 1 (check (car tree)) (check (cdr tree)))))

(define (churn depth count)
  (do ((i 0 (+ i 1))
       (sum 0 (+ sum (check (build depth)))))
      ((= i count) sum)))

(define max-depth 14)
(define long-lived (build max-depth))

(display "stretch: ")
(display (check (build (+ max-depth 1))))
(newline)

(do ((depth 4 (+ depth 2))) ((> depth max-depth))
  (let ((count (arithmetic-shift 1 (- (+ max-depth 3) depth))))
    (display count) (display " trees of depth ") (display depth)
    (display ": ") (display (churn depth count))
    (newline)))

(display "long lived: ")
(display (check long-lived))
(newline)
(display "collected: ")
(display (> (cdr (assq 'cycles (gc-stats))) 0))
(newline)
