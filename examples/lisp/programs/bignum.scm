; Integers of any size: lists of digits to the base 10^6, the least first.

(define base 1000000)

(define (number->big n)
  (if (< n base) (list n) (cons (modulo n base) (number->big (quotient n base)))))

(define (big+ a b)
  (let loop ((a a) (b b) (carry 0))
    (cond ((and (null? a) (null? b)) (if (= carry 0) '() (list carry)))
          (else
           (let ((sum (+ carry (if (null? a) 0 (car a)) (if (null? b) 0 (car b)))))
             (cons (modulo sum base)
                   (loop (if (null? a) a (cdr a))
                         (if (null? b) b (cdr b))
                         (quotient sum base))))))))

(define (big*small a n)
  (let loop ((a a) (carry 0))
    (if (null? a)
        (if (= carry 0) '() (number->big carry))
        (let ((product (+ carry (* n (car a)))))
          (cons (modulo product base) (loop (cdr a) (quotient product base)))))))

(define (big* a b)
  (if (null? b)
      '(0)
      (big+ (big*small a (car b))
            (if (null? (cdr b)) '() (cons 0 (big* a (cdr b)))))))

(define (big->string a)
  (define (digits n)
    (let ((s (number->string n)))
      (string-append (make-string (- 6 (string-length s)) #\0) s)))
  (let ((high-first (reverse a)))
    (apply string-append (number->string (car high-first)) (map digits (cdr high-first)))))

(define (factorial n)
  (let loop ((n n) (product '(1)))
    (if (= n 0) product (loop (- n 1) (big*small product n)))))

(define (fibonacci n)
  (let loop ((n n) (a '(0)) (b '(1)))
    (if (= n 0) a (loop (- n 1) b (big+ a b)))))

(define (power a n)
  (cond ((= n 0) '(1))
        ((even? n) (power (big* a a) (quotient n 2)))
        (else (big* a (power a (- n 1))))))

(define (digit-sum s)
  (fold-left (lambda (sum c) (+ sum (- (char->integer c) 48))) 0 (string->list s)))

(display (big->string (factorial 50))) (newline)
(display (big->string (fibonacci 300))) (newline)
(display (big->string (power '(2) 200))) (newline)

(define big-factorial (big->string (factorial 1000)))
(display (string-length big-factorial)) (display " digits, sum ")
(display (digit-sum big-factorial)) (newline)

(define large (big->string (power '(2) 4423)))
(display (string-length large)) (display " digits, sum ")
(display (digit-sum large)) (newline)

(display (equal? (big* (factorial 60) (factorial 40)) (big* (factorial 40) (factorial 60))))
(newline)
(display (string->number (big->string (power '(7) 20)))) (newline)
