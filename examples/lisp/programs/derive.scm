; Symbolic differentiation, with simplification of what comes out.

(define (number-is? x n) (and (number? x) (= x n)))

(define (make-sum a b)
  (cond ((and (number? a) (number? b)) (+ a b))
        ((number-is? a 0) b)
        ((number-is? b 0) a)
        ((equal? a b) (make-product 2 a))
        (else (list '+ a b))))

(define (make-product a b)
  (cond ((and (number? a) (number? b)) (* a b))
        ((or (number-is? a 0) (number-is? b 0)) 0)
        ((number-is? a 1) b)
        ((number-is? b 1) a)
        ((number? b) (make-product b a))
        (else (list '* a b))))

(define (make-power base n)
  (cond ((number-is? n 0) 1)
        ((number-is? n 1) base)
        (else (list '^ base n))))

(define (derive e x)
  (cond ((number? e) 0)
        ((symbol? e) (if (eq? e x) 1 0))
        (else
         (let ((a (cadr e)) (b (if (pair? (cddr e)) (caddr e) #f)))
           (case (car e)
             ((+) (make-sum (derive a x) (derive b x)))
             ((-) (make-sum (derive a x) (make-product -1 (derive b x))))
             ((*) (make-sum (make-product a (derive b x))
                            (make-product (derive a x) b)))
             ((^) (make-product (make-product b (make-power a (- b 1)))
                                (derive a x)))
             ((sin) (make-product `(cos ,a) (derive a x)))
             ((cos) (make-product -1 (make-product `(sin ,a) (derive a x))))
             ((exp) (make-product e (derive a x)))
             ((log) (make-product (make-power a -1) (derive a x)))
             (else (error "cannot derive" e)))))))

(define (evaluate e x value)
  (cond ((number? e) e)
        ((symbol? e) (if (eq? e x) value (error "unknown variable" e)))
        (else
         (apply (cdr (assq (car e)
                           (list (cons '+ +) (cons '- -) (cons '* *) (cons '^ expt)
                                 (cons 'sin sin) (cons 'cos cos) (cons 'exp exp)
                                 (cons 'log log))))
                (map (lambda (part) (evaluate part x value)) (cdr e))))))

(define (size e) (if (pair? e) (fold-left + 1 (map size (cdr e))) 1))

(define (show e)
  (display "d/dx ") (write e)
  (display " = ") (write (derive e 'x))
  (newline))

(for-each show
          '(5 x y
            (+ x 3)
            (* x x)
            (^ x 5)
            (+ (* 3 (^ x 2)) (+ (* 2 x) 1))
            (sin (* 2 x))
            (exp (^ x 2))
            (* (sin x) (cos x))
            (log (+ (^ x 2) 1))
            (- (^ x 3) (* 4 x))))

; The derivative agrees with the slope.
(define e '(* (exp (sin x)) (+ (^ x 3) (log x))))
(define (slope x)
  (/ (- (evaluate e 'x (+ x 1e-6)) (evaluate e 'x (- x 1e-6))) 2e-6))
(display "close to the slope: ")
(write (every (lambda (x) (< (abs (- (slope x) (evaluate (derive e 'x) 'x x))) 1e-6))
              '(0.5 1.0 1.5 2.0 2.5)))
(newline)

; Higher derivatives grow without bound.
(let loop ((e '(* (sin x) (exp (* x x)))) (n 0))
  (display n) (display ": ") (display (size e)) (newline)
  (if (< n 7) (loop (derive e 'x) (+ n 1))))

(display (guard (e (#t (condition/report-string e))) (derive '(tan x) 'x)))
(newline)
