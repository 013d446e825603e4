"""Long texts, long and deep data, wide programs."""

from __future__ import annotations

from tests.extremes.kit import Case

MB = 10_000_000
LONG = 5_000_000
DEEP = 1_000_000

# programs with N in place of the size -> the value, if it is always the same
STRINGS = {
    "append": ("(string-length (string-append s s))", "{2N}"),
    "search": ('(string-contains s "needle")', "#f"),
    "search for a long part": ("(string-contains s (string-append (substring s 1) \"y\"))", "#f"),
    "replace": ('(string-length (string-replace s "x" "yy"))', "{2N}"),
    "split": ('(length (string-split (string-replace s "xxxxxxxxxx" "xxxx,xxxxx") ","))', None),
    "join": ('(string-length (string-join (map string (string->list s)) "-"))', "{2N-1}"),
    "print": ("(string-length (call-with-output-string (lambda (p) (write s p))))", "{N+2}"),
    "read": ("(string=? s (read (open-input-string (call-with-output-string"
             " (lambda (p) (write s p))))))", "#t"),
    "read of lines": ("(string-length (read-line (open-input-string s)))", "{N}"),
    "compare": ("(string<? s (string-append s \"a\"))", "#t"),
    "equal?": ("(equal? s (string-append s \"\"))", "#t"),
    "hash key": ("(hash-ref (hash-table s 1) (string-append s \"\"))", "1"),
    "symbol": ("(string-length (symbol->string (string->symbol s)))", "{N}"),
    "regex, search": ('(regex-search "needle" s)', "#f"),
    "regex, a class": ('(string-length (regex-extract "[a-z]+" s))', "{N}"),
    "regex, alternatives": ('(regex-search "(a|b|xy)*z" s)', "#f"),
    "regex, replace": ('(string-length (regex-replace-all "x" s "yy"))', "{2N}"),
    "regex, all matches": ('(length (regex-extract-all "xxxx" s))', None),
    "JSON": ("(string-length (json-read (json-write s)))", "{N}"),
    "JSON of escapes": ('(let ((q (make-string (quotient N 2) #\\"))) (string=? q (json-read'
                        ' (json-write q))))', "#t"),
    "JSON of codes": ('(string-length (json-read (string-append "\\"" (string-join (make-list'
                      ' (quotient N 6) "\\\\u00e9") "") "\\""))) 1', "1"),
    "JSON key": ("(hash-ref (json-read (json-write (hash-table s 1))) s)", "1"),
    "print of escapes": ("(let ((q (make-string (quotient N 2) #\\\"))) (string=? q (read"
                         " (open-input-string (call-with-output-string (lambda (p)"
                         " (write q p)))))))", "#t"),
    "display": ("(string-length (call-with-output-string (lambda (p) (display s p))))", "{N}"),
    "read of many words": ("(length (let ((p (open-input-string (string-replace s \"xxxxxxxxxx\""
                           " \"xxxx xxxxx\")))) (let loop ((l '())) (let ((d (read p)))"
                           " (if (eof-object? d) l (loop (cons d l))))))) 1", "1"),
    "read of comments": ("(eof-object? (read (open-input-string (string-append \"; \" s))))", "#t"),
    "to a vector and back": ("(string=? s (vector->string (string->vector s)))", "#t"),
    "substrings": ("(do ((i 0 (+ i 1))) ((= i 1000)) (substring s i N))", None),
    "copy": ("(string-length (string-copy s 1))", "{N-1}"),
    "concatenate": ("(string-length (string-concatenate (list s s)))", "{2N}"),
    "of more than a byte": ('(let ((u (make-string (quotient N 2) #\\x1f600))) (string=? u'
                            " (utf8->string (string->utf8 u))))", "#t"),
    "sort keys": ("(length (sort (list (string-append s \"b\") (string-append s \"a\")) string<?))",
                  "2"),
    "reverse": ("(string-length (string-reverse s))", "{N}"),
    "upcase": ("(string-length (string-upcase s))", "{N}"),
    "to a list and back": ("(string=? s (list->string (string->list s)))", "#t"),
    "map": ("(string-length (string-map char-upcase s))", "{N}"),
    "for-each": ("(string-for-each (lambda (c) c) s)", None),
    "utf8": ("(string-length (utf8->string (string->utf8 s)))", "{N}"),
    "pad": ("(string-length (string-pad-left s (* 2 (string-length s))))", "{2N}"),
    "trim": ('(string-length (string-trim (string-append (make-string 1000 #\\space) s)))', "{N}"),
    "format": ('(string-length (string-format "{} {:w}" s s))', None),
    "number->string of no number": ("(string->number s)", "#f"),
    "an error with it": ("(guard (e ((error-object? e) (string-length (condition->string e))))"
                         " (error s s))", None),
    "an error that leaves": ("(guard (e (#t 1)) (car s))", "1"),
    "string port, character by character": (
        "(let ((p (open-input-string s))) (let loop ((n 0))"
        " (if (eof-object? (read-char p)) n (loop (+ n 1)))))", "{N}"),
    "string port, written by character": (
        "(let ((p (open-output-string))) (do ((i 0 (+ i 1))) ((= i N)) (write-char #\\a p))"
        " (string-length (get-output-string p)))", "{N}"),
    "index": ("(string-index s #\\y)", "#f"),
    "count": ("(string-count s #\\x)", None),
    "tokenize": ("(length (string-tokenize s))", "1"),
}  # fmt: skip

LISTS = {
    "build": (
        "(let loop ((i 0) (l '())) (if (= i N) (length l) (loop (+ i 1) (cons i l))))",
        "{N}",
    ),
    "build, not tail-recursive": (
        "(let loop ((i 0)) (if (= i (min N 500000)) '() (cons i (loop (+ i 1))))) 1", "1"),
    "length": ("(length l)", "{N}"),
    "append": ("(length (append l l))", "{2N}"),
    "reverse": ("(car (reverse l))", "{N-1}"),
    "map": ("(length (map (lambda (x) x) l))", "{N}"),
    "map of two": ("(length (map + l l))", "{N}"),
    "map of a primitive": ("(length (map number? l))", "{N}"),
    "for-each": ("(for-each (lambda (x) x) l)", None),
    "filter": ("(length (filter even? l))", None),
    "fold": ("(fold + 0 l)", None),
    "fold-right": ("(fold-right (lambda (x n) (+ n 1)) 0 l)", "{N}"),
    "reduce": ("(reduce max 0 l)", "{N-1}"),
    "sort": ("(car (sort l >))", "{N-1}"),
    "sort keys": ("(car (sort (take l (quotient N 10)) < (lambda (x) (- x)))) 1", "1"),
    "sort by a procedure": ("(car (sort (take l (quotient N 10)) (lambda (a b) (> a b)))) 1", "1"),
    "list->vector": ("(vector-length (list->vector l))", "{N}"),
    "vector->list": ("(length (vector->list (list->vector l)))", "{N}"),
    "equal?": ("(equal? l (list-copy l))", "#t"),
    "equal? of vectors": ("(equal? (list->vector l) (list->vector l))", "#t"),
    "equal? at the end": ("(equal? (append l '(1)) (append l '(2)))", "#f"),
    "display": ("(> (string-length (call-with-output-string (lambda (p) (display l p)))) N)", "#t"),
    "write of a vector": ("(> (string-length (call-with-output-string (lambda (p)"
                          " (write (list->vector l) p)))) N)", "#t"),
    "read back": ("(let ((l (make-list N 1))) (equal? l (read (open-input-string"
                  " (call-with-output-string (lambda (p) (write l p)))))))", "#t"),
    "JSON read": ("(vector-length (json-read (string-append \"[\" (string-join (make-list N \"1\")"
                  " \",\") \"]\")))", "{N}"),
    "JSON back": ("(equal? (list->vector l) (json-read (json-write l)))", "#t"),
    "JSON table": ("(let ((t (make-hash-table))) (for-each (lambda (x) (hash-set! t"
                   " (number->string x) x)) (take l (quotient N 5)))"
                   " (hash-count (json-read (json-write t)))) 1", "1"),
    "remove": ("(length (remove even? l))", None),
    "any": ("(any negative? l)", "#f"),
    "every": ("(every number? l)", "#t"),
    "find": ("(find negative? l)", "#f"),
    "count": ("(count even? l)", None),
    "list-index": ("(list-index negative? l)", "#f"),
    "filter-map": ("(length (filter-map (lambda (x) x) l))", "{N}"),
    "append-map": ("(length (append-map list l))", "{N}"),
    "zip": ("(length (zip l l))", "{N}"),
    "take and drop": ("(length (append (take l (quotient N 2)) (drop l (quotient N 2))))", "{N}"),
    "list-copy": ("(length (list-copy l))", "{N}"),
    "member": ("(member -1 l)", "#f"),
    "fold of two": ("(fold (lambda (a b n) (+ n 1)) 0 l l)", "{N}"),
    "assv": ("(assv -1 (map (lambda (x) (cons x x)) l))", "#f"),
    "write": ("(> (string-length (call-with-output-string (lambda (p) (write l p)))) N)", "#t"),
    "read": ("(equal? l (read (open-input-string (call-with-output-string"
             " (lambda (p) (write (take l (quotient N 10)) p))))))", "#f"),
    "apply": ("(apply + l)", None),
    "apply of a procedure": ("(define (f . r) (length r)) (apply f l)", "{N}"),
    "apply of list": ("(length (apply list l))", "{N}"),
    "list-tail": ("(list-tail l N)", "()"),
    "hash key": ("(hash-ref (hash-table l 1) (list-copy l))", "1"),
    "JSON": ("(string-length (json-write (list->vector l)))", None),
    "append of many": ("(length (apply append (map list (take l (quotient N 10))))) 1", "1"),
    "delete-duplicates": ("(length (delete-duplicates l))", "{N}"),
    "assoc": ("(assoc -1 (map list l))", "#f"),
    "list->string": ("(string-length (list->string (map (lambda (x) #\\a) l)))", "{N}"),
    "string-append of many": (
        '(string-length (apply string-append (map (lambda (x) "a") l)))',
        "{N}",
    ),
    "string-join": ('(string-length (string-join (map (lambda (x) "a") l) ","))', None),
    "table": ("(let ((t (make-hash-table))) (for-each (lambda (x) (hash-set! t x x)) l)"
              " (hash-count t))", "{N}"),
    "partition": ("(receive (a b) (partition even? l) (+ (length a) (length b)))", "{N}"),
    "values": ("(receive a (apply values l) (length a))", "{N}"),
    "stream": (
        "(stream-ref (let loop ((i 0)) (cons-stream i (loop (+ i 1)))) (quotient N 10)) 1",
        "1",
    ),
    "iota": ("(length (iota N))", "{N}"),
    "last": ("(last l)", "{N-1}"),
    "vector-map": ("(vector-length (vector-map (lambda (x) x) (list->vector l)))", "{N}"),
    "vector-sort": ("(vector-ref (vector-sort > (list->vector l)) 0)", "{N-1}"),
    "match": ("(match l ((a ...) (length a)))", "{N}"),
    "stream walked": ("(stream-fold + 0 (stream-take N (stream-from 0))) 1", "1"),
    "a vector filled": ("(let ((v (make-vector N 0))) (vector-fill! v 1) (vector-ref v 1))", "1"),
    "a vector walked": ("(vector-for-each (lambda (x) x) (make-vector N 0)) 1", "1"),
    "bytes": ("(bytevector-length (bytevector-append (make-bytevector N 1) (make-bytevector N 1)))",
              "{2N}"),
    "an error with it": ("(guard (e (#t (string-length (condition->string e)))) (error \"a\" l)) 1",
                         "1"),
    "dropped": ("(set! l 0) 1", "1"),
}  # fmt: skip

# one level of what is compared by its parts, and of what is not
DATA = {
    "lists": "(list s)",
    "pairs": "(cons s 1)",
    "vectors": "(vector s)",
    "tables": '(hash-table "k" s)',
}
KINDS = {
    **DATA,
    "tables as keys": "(hash-table s 1)",
    "promises": "(delay s)", "records": "(box s)",
    "values": "(values s 1)", "closures": "(lambda () s)", "streams": "(cons-stream s 1)",
    "forced promises": "(let ((p (make-promise s))) p)", "parameters": "(make-parameter s)",
    "errors": "(guard (e (#t e)) (error \"a\" s))", "raised": "(guard (e (#t (list e))) (raise s))",
    "continuations": "(call/cc (lambda (k) (cons k s)))", "own conditions": "(make-own s)",
}  # fmt: skip
# The rest at a tenth, but what every walk of promises and records has to do.
FULL_TEXTS = ("written", "equal? to another", "a hash key", "dropped")
FULL_KINDS = ("promises", "records")
COMPARED = {  # what the texts below give for DATA
    "equal? to another": "#t", "a hash key": "1", "assoc": "1", "member": "1", "sorted": "2",
    "without duplicates": "1", "sort keys": "(1 2)",
}  # fmt: skip
BY_DEPTH = {
    "written": "(string-length (call-with-output-string (lambda (p) (write s p)))) 1",
    "displayed": "(string-length (call-with-output-string (lambda (p) (display s p)))) 1",
    "equal? to another": "(equal? s (make))",
    "a hash key": "(hash-ref (hash-table s 1) (make) 2)",
    "an error about it": '(guard (e (#t (string-length (condition->string e)))) (error "a" s)) 1',
    "a type error about it": "(guard (e (#t 1)) (+ s 1))",
    "formatted": '(string-length (string-format "{:w}" s)) 1',
    "dropped": "(set! s 0) 1",
    "raised": "(guard (e (#t 1)) (raise s))",
    "assoc": "(assoc (make) (list (list 1 2) (list s 3))) 1",
    "member": "(member (make) (list 1 s)) 1",
    "sorted": "(length (sort (list s (make)) (lambda (a b) (equal? a b))))",
    "sort keys": "(sort (list 2 1) < (lambda (x) (if (equal? s (make)) x (- x))))",
    "sort keys that are no numbers": "(guard (e (#t 1)) (sort (list s (make)) <))",
    "without duplicates": "(length (delete-duplicates (list s (make) s)))",
    "JSON": "(guard (e (#t 1)) (string-length (json-write s)))",
    "shared parts written": "(string-length (call-with-output-string (lambda (p)"
    " (write-shared (list s s) p)))) 1",
    "read back": "(guard (e (#t 1)) (equal? s (read (open-input-string"
    " (call-with-output-string (lambda (p) (write s p)))))))",
    "in a message that leaves": "(guard (e (#t (string-length (condition->string e)))) (s 1)) 1",
    "matched": "(match s (5 1) (_ 1))",
}
MADE = """(define-record-type bx (box v) bx? (v unbox))
(define-condition-type own error own? (v own-v))
(define (make-own v) (make-condition 'own "a" :v v))
(define (make) (let loop ((n N) (s '())) (if (= n 0) s (loop (- n 1) WRAP)))) (define s (make))
"""
# each level holds the one below twice: 2^N parts for who does not see that they are the same
OF_THE_SAME = "(let loop ((n N) (s '())) (if (= n 0) s (loop (- n 1) (list s s))))"
DEEP_TEXTS = {
    "read": ("(pair? (read (open-input-string (string-append (make-string N #\\() "
             "(make-string N #\\))))))", "#t"),
    "read of vectors": ('(vector? (read (open-input-string (string-append (apply string-append '
                        '(make-list N "#(")) (make-string N #\\))))))', "#t"),
    "read of quotes": ("(pair? (read (open-input-string (string-append (make-string N #\\') "
                       "\"a\"))))", "#t"),
    "read and never closed": ("(guard (e ((read-error? e) 1)) (read (open-input-string "
                              "(make-string N #\\())))", "1"),
    "read, closed too often": ("(guard (e ((read-error? e) 1)) (read (open-input-string "
                               "(make-string N #\\)))))", "1"),
    "block comments": ('(eof-object? (read (open-input-string (string-append (apply string-append '
                       '(make-list N "#|")) (apply string-append (make-list N "|#"))))))', "#t"),
    "datum comments": ('(guard (e (#t 1)) (read (open-input-string (apply string-append '
                       '(make-list N "#;"))))) 1', "1"),
    "JSON read": ("(vector? (json-read (string-append (make-string N #\\[) "
                  "(make-string N #\\]))))", "#t"),
    "JSON read, never closed": ("(guard (e (#t 1)) (json-read (make-string N #\\[)))", "1"),
    "JSON objects": ('(hash-table? (json-read (string-append (apply string-append (make-list N '
                     '"{\\"a\\":")) "1" (make-string N #\\}))))', "#t"),
    "JSON written": ("(string-length (json-write (let loop ((n N) (s 1)) (if (= n 0) s"
                     " (loop (- n 1) (vector s))))))", "{2N+1}"),
    "JSON objects written": ('(string-length (json-write (let loop ((n N) (s 1)) (if (= n 0) s'
                     ' (loop (- n 1) (hash-table "a" s))))))', None),
    "lists of the same, written": ("(string-length (call-with-output-string (lambda (p)"
                                   f" (write {OF_THE_SAME} p))))", None),
    "lists of the same, shared": ("(> (string-length (call-with-output-string (lambda (p)"
                                  f" (write-shared {OF_THE_SAME} p)))) N)", "#t"),
    "lists of the same, equal?": (f"(equal? {OF_THE_SAME} {OF_THE_SAME})", "#t"),
    "lists of the same, a hash key": (f"(hash-ref (hash-table {OF_THE_SAME} 1) {OF_THE_SAME})",
                                      "1"),
    "lists of the same, as JSON": (f"(json-write {OF_THE_SAME})", None),
    "values of the same, displayed": ("(string-length (call-with-output-string (lambda (p) (display"
                                      f" {OF_THE_SAME.replace('list', 'values')} p))))", None),
    "JSON of it read back": ("(let ((s (let loop ((n N) (s 1)) (if (= n 0) s (loop (- n 1)"
                             " (vector s)))))) (equal? s (json-read (json-write s))))", "#t"),
    "JSON, indented": ("(json-write (let loop ((n N) (s 1)) (if (= n 0) s (loop (- n 1) (vector"
                       " s)))) :indent 2)", None),
    "regex of brackets": ('(guard (e (#t 1)) (regex-search (string-append (make-string N #\\() "a"'
                          ' (make-string N #\\))) "a")) 1', "1"),
    "format of a number": ("(string-length (number->string (expt 10 N)))", "{N+1}"),
}  # fmt: skip
NUMBERS = {
    "read": ("(exact-integer? (string->number (make-string N #\\7)))", "#t"),
    "print": ("(string-length (number->string (- (expt 10 N) 1)))", "{N}"),
    "multiply": ("(let ((x (expt 3 (* 2 N)))) (> (* x x) x))", "#t"),
    "add": ("(let ((x (expt 3 (* 2 N)))) (> (+ x x) x))", "#t"),
    "divide": (
        "(let ((x (expt 3 (* 2 N))) (y (expt 7 (quotient N 2)))) (> (quotient x y) y))",
        "#t",
    ),
    "gcd": ("(let ((x (expt 3 (quotient N 10)))) (= x (gcd x (* x 7))))", "#t"),
    "root": ("(let ((x (expt 3 N))) (receive (r e) (exact-integer-sqrt (* x x)) (= r x)))", "#t"),
    "to a float": ("(guard (e (#t 1)) (exact->inexact (expt 3 N))) 1", "1"),
    "hash key": ("(hash-ref (hash-table (expt 3 N) 1) (expt 3 N))", "1"),
    "equal?": ("(equal? (expt 3 N) (expt 3 N))", "#t"),
    "bits": ("(bit-count (expt 3 N)) 1", "1"),
    "shift": ("(arithmetic-shift (arithmetic-shift 1 N) (- N))", "1"),
    "ratio": ("(guard (e (#t 1)) (/ (expt 3 N) (expt 7 N))) 1", "1"),
    "in an error": (
        "(guard (e (#t (string-length (condition->string e)))) (car (expt 3 N))) 1",
        "1",
    ),
    "in a text": ("'TEXT 1", "1"),
    "JSON": ("(string-length (json-write (- (expt 10 N) 1)))", "{N}"),
    "JSON read": ("(exact-integer? (json-read (make-string N #\\7)))", "#t"),
    "index": ("(guard (e (#t 1)) (vector-ref #(1 2) (expt 3 N)))", "1"),
    "size": ("(guard (e (#t 1)) (make-vector (expt 3 N)))", "1"),
    "sleep": ("(guard (e (#t 1)) (sleep (expt 10 N)))", None),
    "exact of a text with an exponent": ('(guard (e (#t 1)) (string->number "1e1000000")) 1', "1"),
    "exact with an exponent": ('(guard (e (#t 1)) (string->number "#e1e1000000000")) 1', "1"),
}  # fmt: skip


def filled(text: str, n: int) -> str:
    for mark, value in {
        "{N}": n, "{2N}": 2 * n, "{N+2}": n + 2, "{N-1}": n - 1, "{N+1}": n + 1,
        "{2N+1}": 2 * n + 1,
        "{2N-1}": 2 * n - 1,
    }.items():  # fmt: skip
        text = text.replace(mark, str(value))
    return text


def case(group: str, name: str, text: str, value: str | None, size: int, **more: object) -> Case:
    """N in the text stands for the size, TEXT for as many digits."""

    def make(n: int) -> str:
        import re

        return re.sub(r"\bN\b", str(n), text).replace("TEXT", "7" * n if "TEXT" in text else "")

    expected = None if value is None else (lambda n: filled(value, n))
    return Case(f"{group}: {name}", make, size, expected, **more)  # type: ignore[arg-type]


def data_cases() -> list[Case]:
    made = [
        case("string", name, f"(define s (make-string N #\\x)) {text}", value, MB)
        for name, (text, value) in STRINGS.items()
    ]
    made += [
        case(
            "list",
            name,
            f"(define l (iota N)) {text}",
            value,
            LONG,
            limited=name in ("values", "apply of a procedure"),
        )
        for name, (text, value) in LISTS.items()
    ]
    made += [
        case("number", name, text, value, 1_000_000, limited=True)
        for name, (text, value) in NUMBERS.items()
    ]
    return made


def deep_cases() -> list[Case]:
    made = [
        case("deep", name, text, value, DEEP, limited=value is None)
        for name, (text, value) in DEEP_TEXTS.items()
    ]
    for kind, wrap in KINDS.items():
        for name, text in BY_DEPTH.items():
            full = kind in FULL_KINDS and name in FULL_TEXTS
            made.append(
                case(
                    f"deep {kind}",
                    name,
                    MADE.replace("WRAP", wrap) + text,
                    COMPARED.get(name) if kind in DATA else None,
                    DEEP if kind in DATA or full else DEEP // 10,
                    limited=kind not in DATA,
                )
            )
    return made


def many(n: int, part: str, between: str = " ") -> str:
    return between.join(part.replace("#I", str(i)) for i in range(n))


def wide(name: str, make: object, size: int, value: object = None, **more: object) -> Case:
    return Case(f"wide: {name}", make, size, value, **more)  # type: ignore[arg-type]


def wide_cases() -> list[Case]:
    return [
        wide("a line of 1 MB", lambda n: f"(length '({'a ' * (n // 2)}))", 1_000_000,
             lambda n: str(n // 2)),
        wide("a line of one expression", lambda n: f"(+ {'1 ' * (n // 2)})", 1_000_000,
             lambda n: str(n // 2), limited=True),
        wide("definitions", lambda n: many(n, "(define (f#I x) (+ x #I))", "\n") + "(f7 1)",
             20_000, "8"),
        wide("definitions that call each other", lambda n: "(define (f0 x) x)" + "".join(
            f"(define (f{i} x) (f{i - 1} (+ x 1)))\n" for i in range(1, n)) + "(f7 1)",
             20_000, "8"),
        wide("values", lambda n: many(n, "(define v#I #I)", "\n") + "v7", 20_000, "7"),
        wide("cond", lambda n: f"(define (f x) (cond {many(n, '((= x #I) #I)')} (else 'no)))"
             f"(f {n - 1})", 10_000, lambda n: str(n - 1)),
        wide("cond of tests that bind", lambda n: f"(define (f x) (cond "
             f"{many(n, '((assv x (quote ((#I . #I)))) => cdr)')} (else 'no))) (f {n - 1})", 10_000,
             lambda n: str(n - 1)),
        wide("case", lambda n: f"(define (f x) (case x {many(n, '((#I) #I)')} (else 'no)))"
             f"(f {n - 1})", 10_000, lambda n: str(n - 1)),
        wide("case of symbols", lambda n: f"(define (f x) (case x {many(n, '((a#I) #I)')}"
             f" (else 'no))) (f 'a{n - 1})", 10_000, lambda n: str(n - 1)),
        wide("case of one clause", lambda n: f"(define (f x) (case x (({many(n, '#I')}) 1)"
             f" (else 'no))) (f {n - 1})", 10_000, "1"),
        wide("match", lambda n: f"(define (f x) (match x {many(n, '((#I a) a)')} (_ 'no)))"
             f"(f '({n - 1} 5))", 2_000, "5", limited=True),
        wide("quasiquote", lambda n: f"(define x 1) (length `({',x a ' * (n // 2)}))", 5_000,
             lambda n: str(n // 2 * 2)),
        wide("splices", lambda n: f"(define x '(1)) (length `({',@x a ' * (n // 2)}))",
             5_000, lambda n: str(n // 2 * 2)),
        wide("quasiquote of a vector", lambda n: f"(define x 1) (vector-length `#({',x ' * n}))",
             5_000, str),
        wide("arguments", lambda n: f"(define (f . r) (length r)) (f {'1 ' * n})", 1_000, str),
        wide("arguments of +", lambda n: f"(define x 1) (+ {'x ' * n})", 1_000, str),
        wide("arguments of list", lambda n: f"(length (list {'1 ' * n}))", 100_000, str,
             limited=True),
        wide("arguments that are calls", lambda n: f"(define (f x) 1) (define (g . r) (length r))"
             f"(g {many(n, '(f #I)')})", 1_000, str),
        wide("let", lambda n: f"(let ({many(n, '(v#I #I)')}) (+ v0 v{n - 1}))", 5_000,
             lambda n: str(n - 1)),
        wide("let that is captured", lambda n: f"((let ({many(n, '(v#I #I)')}) (lambda ()"
             f" (set! v1 1) (list {many(n, 'v#I')}) v{n - 1})))", 5_000, lambda n: str(n - 1)),
        wide("let*", lambda n: "(let* ((v0 0) " + " ".join(
            f"(v{i} (+ 1 v{i - 1}))" for i in range(1, n)) + ")"
             f" v{n - 1})", 5_000, lambda n: str(n - 1), limited=True),
        wide("letrec", lambda n: f"(letrec ({many(n, '(v#I (lambda () v#I))')}) 1)", 5_000, "1"),
        wide("internal definitions", lambda n: f"(let () {many(n, '(define (f#I x) (+ x #I))')}"
             " (f7 1))", 5_000, "8"),
        wide("named let of many", lambda n: f"(let loop ({many(n, '(v#I 1)')}) (if (= v0 0) 1"
             f" (loop 0 {many(n - 1, 'v#I')})))", 1_000, "1"),
        wide("do of many", lambda n: f"(do ({many(n, '(v#I 0 (+ v#I 1))')}) ((= v0 3) v1))", 1_000,
             "3"),
        wide("parameters", lambda n: f"(define (f {many(n, 'v#I')}) v{n - 1}) (f {many(n, '#I')})",
             2_000, lambda n: str(n - 1)),
        wide("parameters, by apply", lambda n: f"(define (f {many(n, 'v#I')}) v{n - 1})"
             f"(apply f (iota {n}))", 2_000, lambda n: str(n - 1)),
        wide("optional parameters", lambda n: f"(define (f {many(n, '(v#I #I)')}) v{n - 1}) (f)",
             2_000, lambda n: str(n - 1)),
        wide("keyword parameters", lambda n: f"(define (f {many(n, ':k#I (v#I #I)')}) v{n - 1})"
             "(f :k0 5)",
             2_000, lambda n: str(n - 1)),
        wide("a string", lambda n: f"(string-length \"{'x' * n}\")", 1_000_000, str),
        wide("a string of 10 MB", lambda n: f"(string-length \"{'x' * n}\")", MB, str),
        wide("a file of 10 MB", lambda n: f"(string-length \"{'x' * n}\")", MB, None,
             limited=True, way="run"),
        wide("a list of many in a text", lambda n: f"(length '({'1 ' * n}))", 1_000_000, str),
        wide("a string of escapes", lambda n: f"(string-length \"{chr(92) + 'n' + chr(92) * 1}\\n"
             f"{(chr(92) + 'n') * (n // 2 - 1)}\")", 1_000_000, None, limited=True),
        wide("a symbol", lambda n: f"(string-length (symbol->string '{'x' * n}))", 1_000_000, str),
        wide("a name", lambda n: f"(define {'x' * n} 5) {'x' * n}", 1_000_000, "5"),
        wide("a comment", lambda n: f"; {'x' * n}\n1", 1_000_000, "1"),
        wide("an empty text of lines", lambda n: "\n" * n + "1", 1_000_000, "1"),
        wide("a number", lambda n: f"(integer-length {'7' * n}) 1", 1_000_000, "1"),
        wide("begin", lambda n: f"(define x 0) (begin {'(set! x (+ x 1)) ' * n} x)", 20_000, str),
        wide("a body", lambda n: f"(define (f) (define x 0) {'(set! x (+ x 1)) ' * n} x) (f)",
             20_000, str),
        wide("expressions", lambda n: "1\n" * n + "2", 100_000, "2"),
        wide("table literal", lambda n: f"(hash-count {{{many(n, '#I #I')}}})", 10_000, str),
        wide("vector literal", lambda n: f"(vector-length #({'1 ' * n}))", 100_000, str),
        wide("and", lambda n: f"(define x 1) (and {'x ' * n})", 10_000, "1", limited=True),
        wide("or", lambda n: f"(define x #f) (or {'x ' * n} 1)", 10_000, "1", limited=True),
        wide("or of calls", lambda n: f"(define (x) #f) (or {'(x) ' * n} 1)", 10_000, "1",
             limited=True),
        wide("case-lambda", lambda n: "(define f (case-lambda " + " ".join(
            f"(({many(i, 'a#I')}) {i})" for i in range(n)) + ")) (f 1 2 3)", 200, "3"),
        wide("macros", lambda n: many(n, "(define-syntax m#I (syntax-rules () ((_ a) (+ a #I))))",
             "\n") + "(m7 1)", 2_000, "8"),
        wide("macro of many rules", lambda n: "(define-syntax m (syntax-rules () "
             + many(n, "((_ #I) (quote #I))") + f")) (m {n - 1})", 2_000, lambda n: str(n - 1)),
        wide("macro use of many arguments", lambda n: "(define-syntax m (syntax-rules () ((_ a ...)"
             f" (list a ...)))) (length (m {'1 ' * n}))", 10_000, str),
        wide("records", lambda n: many(n, "(define-record-type r#I (m#I a) r#I? (a g#I))", "\n")
             + "(g7 (m7 1))", 1_000, "1"),
        wide("a record of many fields", lambda n: f"(define-record-type r (m {many(n, 'a#I')}) r?"
             f" {many(n, '(a#I g#I s#I!)')}) (g{n - 1} (m {many(n, '#I')}))", 1_000,
             lambda n: str(n - 1)),
        wide("guards in a row", lambda n: f"(define (f) {'(guard (e (#t 1)) (raise 1))' * n})"
             "(f)", 2_000, "1"),
        wide("guard clauses", lambda n: f"(guard (e {many(n, '((eqv? e #I) #I)')})"
             f" (raise {n - 1}))",
             5_000, lambda n: str(n - 1)),
        wide("nested quotes", lambda n: "'" * n + "a 1", 1_000_000, "1", limited=True),
        wide("constant deep in a program", lambda n: f"(define x '{'(' * n}{')' * n}) 1", 1_000_000,
             "1", limited=True),
        wide("constant vectors deep in a program", lambda n: f"(define x '{'#(' * n}{')' * n}) 1",
             1_000_000, "1", limited=True),
        wide("constant as a macro's argument", lambda n: "(define-syntax m (syntax-rules () ((_ a)"
             f" 'a))) (define x (m {'(' * n}{')' * n})) 1", 1_000_000, "1", limited=True),
        wide("constant of a procedural macro", lambda n: "(define-macro (m) (list 'quote (let loop"
             f" ((n {n}) (s '())) (if (= n 0) s (loop (- n 1) (list s)))))) (define x (m)) 1",
             1_000_000, "1", limited=True),
        wide("code of a procedural macro", lambda n: "(define-macro (m) (let loop"
             f" ((n {n}) (s 1)) (if (= n 0) s (loop (- n 1) (list '+ 1 s))))) (m)",
             1_000_000, None, limited=True),
        wide("macroexpand of deep data", lambda n: "(macroexpand (let loop"
             f" ((n {n}) (s 1)) (if (= n 0) s (loop (- n 1) (list 'when s s))))) 1",
             1_000_000, None, limited=True),
    ]  # fmt: skip
