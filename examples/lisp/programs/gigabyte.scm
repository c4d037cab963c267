; Keeps a gigabyte alive, in two million vectors, while it makes and drops others; looks at all
; of it again and again.

(define width 62)                       ; 16 bytes of head, 62 words: 512 bytes
(define chunk-size 1024)
(define chunks 2048)                    ; 2048 * 1024 * 512 bytes: 1 GiB

(define (make-chunk number)
  (let ((chunk (make-vector chunk-size #f)))
    (do ((i 0 (+ i 1))) ((= i chunk-size) chunk)
      (vector-set! chunk i (make-vector width (+ (* number chunk-size) i))))))

(define heap (make-vector chunks #f))
(do ((i 0 (+ i 1))) ((= i chunks))
  (vector-set! heap i (make-chunk i)))

(define (live) (cdr (assq 'live (gc-stats))))
(display "a gigabyte is live: ")
(display (>= (live) (* chunks chunk-size 512)))
(newline)

; The number of vectors that are not what they were made as.
(define (spoilt)
  (let outer ((number 0) (bad 0))
    (if (= number chunks)
        bad
        (let ((chunk (vector-ref heap number)))
          (let inner ((i 0) (bad bad))
            (if (= i chunk-size)
                (outer (+ number 1) bad)
                (let ((v (vector-ref chunk i)) (n (+ (* number chunk-size) i)))
                  (inner (+ i 1)
                         (if (and (= (vector-length v) width)
                                  (= (vector-ref v 0) n)
                                  (= (vector-ref v 61) n))
                             bad
                             (+ bad 1))))))))))

(display "spoilt: ") (display (spoilt)) (newline)

; Replaces a part of the heap in each round: every eighth chunk, another eighth each time.
(do ((round 0 (+ round 1))) ((= round 2))
  (do ((i round (+ i 8))) ((>= i chunks))
    (vector-set! heap i (make-chunk i)))
  (display "round ") (display round)
  (display ", spoilt: ") (display (spoilt))
  (newline))

(gc)
(display "a gigabyte is live: ")
(display (>= (live) (* chunks chunk-size 512)))
(newline)
(set! heap #f)
(gc)
(display "and now it is not: ")
(display (< (live) (* 64 1024 1024)))
(newline)
