; Counts the words of text.txt, which lies beside this program.

(define (directory path)
  (let loop ((i (string-length path)))
    (cond ((= i 0) "")
          ((char=? (string-ref path (- i 1)) #\/) (substring path 0 i))
          (else (loop (- i 1))))))

(define file (string-append (directory (car (command-line))) "text.txt"))

(define counts (make-hash-table))
(define lines 0)
(define words 0)

(define (count! word)
  (set! words (+ words 1))
  (hash-table-update!/default counts word (lambda (n) (+ n 1)) 0))

; Calls use with each word of a line, in small letters.
(define (for-each-word use line)
  (let loop ((letters (string->list line)) (word '()))
    (define (end!)
      (if (pair? word) (use (list->string (reverse word)))))
    (cond ((null? letters) (end!))
          ((char-alphabetic? (car letters))
           (loop (cdr letters) (cons (char-downcase (car letters)) word)))
          (else (end!) (loop (cdr letters) '())))))

(call-with-input-file file
  (lambda (port)
    (let loop ((line (read-line port)))
      (unless (eof-object? line)
        (set! lines (+ lines 1))
        (for-each-word count! line)
        (loop (read-line port))))))

(define (more? a b)
  (or (> (cdr a) (cdr b))
      (and (= (cdr a) (cdr b)) (string<? (car a) (car b)))))

(define ranking (sort (hash-table->alist counts) more?))

(display lines) (display " lines, ")
(display words) (display " words, ")
(display (hash-table-count counts)) (display " different")
(newline)

(define (first n l)
  (if (or (= n 0) (null? l)) '() (cons (car l) (first (- n 1) (cdr l)))))

(for-each (lambda (entry)
            (display (cdr entry)) (display " ") (display (car entry)) (newline))
          (first 20 ranking))

(define once (filter (lambda (entry) (= (cdr entry) 1)) ranking))
(display (length once)) (display " words stand there once") (newline)

(define longest
  (fold-left (lambda (best entry)
               (if (> (string-length (car entry)) (string-length best)) (car entry) best))
             ""
             ranking))
(display "the longest: ") (display longest) (newline)

(display (= words (fold-left + 0 (hash-table-values counts))))
(newline)
