; Conway's game of life on an endless plane: the living cells are the keys of a hash table.

(define (make-world cells)
  (let ((world (make-hash-table)))
    (for-each (lambda (cell) (hash-table-set! world cell #t)) cells)
    world))

(define (alive? world x y) (hash-table-contains? world (cons x y)))

(define (for-each-neighbour f cell)
  (let ((x (car cell)) (y (cdr cell)))
    (do ((dx -1 (+ dx 1))) ((> dx 1))
      (do ((dy -1 (+ dy 1))) ((> dy 1))
        (unless (and (= dx 0) (= dy 0))
          (f (cons (+ x dx) (+ y dy))))))))

(define (step world)
  (let ((counts (make-hash-table)) (next (make-hash-table)))
    (hash-table-walk world
      (lambda (cell alive)
        (for-each-neighbour
         (lambda (near) (hash-table-update!/default counts near (lambda (n) (+ n 1)) 0))
         cell)))
    (hash-table-walk counts
      (lambda (cell n)
        (if (or (= n 3) (and (= n 2) (hash-table-contains? world cell)))
            (hash-table-set! next cell #t))))
    next))

(define (run world n) (if (= n 0) world (run (step world) (- n 1))))

(define (draw world x0 y0 x1 y1)
  (do ((y y0 (+ y 1))) ((> y y1))
    (do ((x x0 (+ x 1))) ((> x x1))
      (display (if (alive? world x y) "#" ".")))
    (newline)))

(define glider '((1 . 0) (2 . 1) (0 . 2) (1 . 2) (2 . 2)))
(draw (make-world glider) 0 0 4 4)
(newline)
(draw (run (make-world glider) 4) 0 0 4 4)

; After four steps a glider is where it was, one further.
(define (sorted world)
  (sort (hash-table-keys world)
        (lambda (a b) (or (< (car a) (car b)) (and (= (car a) (car b)) (< (cdr a) (cdr b)))))))
(define (moved cells by) (map (lambda (c) (cons (+ (car c) by) (+ (cdr c) by))) cells))
(display (equal? (sorted (run (make-world glider) 40)) (sorted (make-world (moved glider 10)))))
(newline)

; The r pentomino.
(define pentomino '((1 . 0) (2 . 0) (0 . 1) (1 . 1) (1 . 2)))
(let loop ((world (make-world pentomino)) (n 0))
  (if (= (modulo n 50) 0)
      (begin
        (display n) (display ": ") (display (hash-table-count world)) (newline)))
  (if (< n 300) (loop (step world) (+ n 1))))
