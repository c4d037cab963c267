; The n queens: all solutions, each a list of columns, the last row first.

(define (safe? column rows)
  (let loop ((rows rows) (distance 1))
    (or (null? rows)
        (and (not (= (car rows) column))
             (not (= (abs (- (car rows) column)) distance))
             (loop (cdr rows) (+ distance 1))))))

(define (extend solutions n)
  (append-map (lambda (rows)
                (map (lambda (column) (cons column rows))
                     (filter (lambda (column) (safe? column rows)) (iota n))))
              solutions))

(define (queens n)
  (do ((row 0 (+ row 1)) (solutions '(()) (extend solutions n)))
      ((= row n) solutions)))

(define (draw rows)
  (let ((n (length rows)))
    (for-each (lambda (column)
                (do ((i 0 (+ i 1))) ((= i n))
                  (display (if (= i column) " Q" " .")))
                (newline))
              rows)))

(do ((n 1 (+ n 1))) ((> n 9))
  (display n) (display " queens: ")
  (display (length (queens n))) (display " solutions")
  (newline))

(draw (car (queens 8)))
