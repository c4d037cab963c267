; Building strings: by appending, through ports, from lists, and taking them apart again.

(define (repeat s n)
  (let loop ((n n) (result ""))
    (if (= n 0) result (loop (- n 1) (string-append result s)))))

(display (repeat "ab" 10)) (newline)
(display (string-length (repeat "0123456789" 2000))) (newline)

(define (spell n)
  (define small
    #("zero" "one" "two" "three" "four" "five" "six" "seven" "eight" "nine" "ten" "eleven"
      "twelve" "thirteen" "fourteen" "fifteen" "sixteen" "seventeen" "eighteen" "nineteen"))
  (define tens
    #("" "" "twenty" "thirty" "forty" "fifty" "sixty" "seventy" "eighty" "ninety"))
  (define (rest n mark) (if (= n 0) "" (string-append mark (spell n))))
  (cond ((< n 20) (vector-ref small n))
        ((< n 100) (string-append (vector-ref tens (quotient n 10)) (rest (modulo n 10) "-")))
        ((< n 1000) (string-append (spell (quotient n 100)) " hundred"
                                   (rest (modulo n 100) " and ")))
        (else (string-append (spell (quotient n 1000)) " thousand"
                             (rest (modulo n 1000) " ")))))

(for-each (lambda (n) (display (spell n)) (newline)) '(0 7 13 42 100 365 1999 12345))

; How many letters are in the numbers from 1 to 1000? (342 has 23 of them.)
(define (letters s)
  (length (filter char-alphabetic? (string->list s))))
(display (letters (spell 342))) (newline)
(display (fold-left + 0 (map (lambda (n) (letters (spell n))) (iota 1000 1)))) (newline)

(define (split s separator)
  (let loop ((start 0) (parts '()))
    (let ((end (string-search separator s start)))
      (if end
          (loop (+ end (string-length separator)) (cons (substring s start end) parts))
          (reverse (cons (substring s start) parts))))))

(define csv (string-join (map number->string (iota 100)) ", "))
(display (string-length csv)) (newline)
(display (fold-left + 0 (map string->number (split csv ", ")))) (newline)

(define (palindrome? s)
  (let ((letters (map char-downcase (filter char-alphabetic? (string->list s)))))
    (equal? letters (reverse letters))))
(for-each (lambda (s) (write s) (display (if (palindrome? s) " yes" " no")) (newline))
          '("A man, a plan, a canal: Panama!" "Never odd or even" "Garbage"))

(define (caesar s by)
  (define (turn c base)
    (integer->char (+ base (modulo (+ by (- (char->integer c) base)) 26))))
  (list->string
   (map (lambda (c)
          (cond ((not (char-alphabetic? c)) c)
                ((char<? c #\a) (turn c 65))
                (else (turn c 97))))
        (string->list s))))
(display (caesar "Hello, World!" 3)) (newline)
(display (caesar (caesar "Hello, World!" 3) -3)) (newline)

; A port takes a hundred thousand pieces; a string made of them is as long as it should be.
(define text
  (call-with-output-string
   (lambda (port)
     (do ((i 0 (+ i 1))) ((= i 100000))
       (write i port)
       (newline port)))))
(display (string-length text)) (newline)
(define port (open-input-string text))
(define (sum-lines port)
  (let loop ((sum 0))
    (let ((line (read-line port)))
      (if (eof-object? line) sum (loop (+ sum (string->number line)))))))
(display (sum-lines port)) (newline)

(write (with-output-to-string (lambda () (write '("quoted \"text\"" #\x (1 . 2))))))
(newline)
(write (read (open-input-string "(a (b \"c\\n\") #\\space 1.5 #(1 2) 'd `(e ,f ,@g))")))
(newline)
