"""What Omega's own libraries export: written by `python docs/generate.py`.

Owns: OWN, for standard.py: a library for every section of docs/reference.md; SAME: SRFIs that are
about such a section -> its library. `(omega)` has everything, and is not listed.
"""

OWN: dict[str, str] = {
    "(omega bit)": """
        any-bit-set? bit-field bit-field-any? bit-field-clear bit-field-every? bit-field-replace
        bit-field-replace-same bit-field-reverse bit-field-rotate bit-field-set bit-set? bit-swap
        bits bits->list bits->vector bitwise-andc1 bitwise-andc2 bitwise-eqv bitwise-fold
        bitwise-for-each bitwise-if bitwise-nand bitwise-nor bitwise-orc1 bitwise-orc2
        bitwise-unfold copy-bit every-bit-set? first-set-bit list->bits make-bitwise-generator
        vector->bits
        """,
    "(omega char)": """
        char->integer char-alphabetic? char-ci<=? char-ci<? char-ci=? char-ci>=? char-ci>?
        char-downcase char-foldcase char-lower-case? char-numeric? char-upcase char-upper-case?
        char-whitespace? char<=? char<? char=? char>=? char>? char? digit-value integer->char
        """,
    "(omega condition)": """
        arity-error? bad-encoding? bad-literal? bad-response? cannot-escape-task?
        cannot-suspend-here? channel-closed? compute-restarts condition->string
        condition-backtrace condition-code condition-hint condition-irritants condition-is?
        condition-kind condition-message condition-place condition-type condition/report-string
        condition? constant-test? continuation-error? continue csv-error? deadlock?
        define-condition-type division-by-zero? duplicate-definition? error-object-irritants
        error-object-message error-object? error? fenced? file-error? find-restart host-error?
        immutable? index-error? invoke-restart json-error? key-error? left-behind? library-error?
        limit-exceeded? llm-configuration? llm-error? llm-timeout? llm-unavailable? make-condition
        match-error? no-effect? permission-denied? rate-limited? read-error? refused? regex-error?
        replay-divergence? restart-bind restart-case restart-error? restart-name restart? retry
        run-ended? run-exists? run-owned? run-stopped? schedule-failure? skip store-busy?
        store-error? store-full? stray-bracket? syntax-error? tape-ended? task-cancelled?
        task-error? tasks-failed? timeout-error? type-error? unbound-variable? unclosed?
        unhandled-effect? unknown-outcome? unknown-run? unknown-task? unreachable-clause?
        unused-import? unused-variable? use-value value-error? with-restarts wrong-thread?
        """,
    "(omega control)": """
        and-let* apply call-with-current-continuation call-with-escape-continuation
        call-with-values call/cc case-lambda cut cute dynamic-wind error force make-parameter
        make-promise match match-define match-lambda match-lambda* match-let match-let*
        match-letrec promise? raise raise-continuable receive while with-exception-handler
        """,
    "(omega eval)": """
        environment eval features interaction-environment load macroexpand null-environment
        scheme-report-environment
        """,
    "(omega file)": """
        append-file csv-parse csv-read csv-write delete-file file-exists? open-binary-input-file
        open-binary-output-file open-input-file open-output-file read-file read-lines write-file
        """,
    "(omega generator)": """
        bytevector->generator bytevector-accumulator bytevector-accumulator! circular-generator
        count-accumulator gappend gcombine gcons* gdelete gdelete-neighbor-dups gdrop gdrop-while
        generator generator->list generator->reverse-list generator->string generator->vector
        generator->vector! generator-any generator-count generator-every generator-find
        generator-fold generator-for-each generator-map->list generator-unfold gfilter gflatten
        ggroup gindex gmap gmerge gremove gselect gstate-filter gtake gtake-while list->generator
        list-accumulator make-accumulator make-coroutine-generator make-generator
        make-iota-generator make-range-generator make-unfold-generator product-accumulator
        reverse-list-accumulator reverse-vector->generator reverse-vector-accumulator
        string->generator string-accumulator sum-accumulator vector->generator vector-accumulator
        vector-accumulator!
        """,
    "(omega json)": """
        json->string json-read json-write string->json
        """,
    "(omega list)": """
        alist-cons alist-copy alist-delete alist-delete! any append append! append-map append-map!
        append-reverse append-reverse! assoc assoc-ref assq assv break break! caaaar caaadr caaar
        caadar caaddr caadr caar cadaar cadadr cadar caddar cadddr caddr cadr car car+cdr cdaaar
        cdaadr cdaar cdadar cdaddr cdadr cdar cddaar cddadr cddar cdddar cddddr cdddr cddr cdr
        circular-list circular-list? compose concatenate concatenate! cons cons* constantly count
        delete delete! delete-duplicates delete-duplicates! dotted-list? drop drop-right
        drop-right! drop-while eighth every fifth filter filter! filter-map find find-tail first
        flatten fold fold-left fold-right for-each fourth group-by identity iota last last-pair
        length length+ list list* list-copy list-head list-index list-ref list-set! list-tabulate
        list-tail list= list? lset-adjoin lset-diff+intersection lset-diff+intersection!
        lset-difference lset-difference! lset-intersection lset-intersection! lset-union
        lset-union! lset-xor lset-xor! lset<= lset= make-list map map! map-in-order member memq
        memv ninth not-pair? null-list? null? pair pair-fold pair-fold-right pair-for-each pair?
        partition partition! proper-list? range reduce reduce-right remove remove! rest reverse
        reverse! second set-car! set-cdr! seventh sixth span span! split-at split-at! sublist take
        take! take-right take-while take-while! tenth third unfold unfold-right unzip1 unzip2
        unzip3 unzip4 unzip5 xcons zip
        """,
    "(omega llm)": """
        as-data budget-left budget-spent cacheable image-data image-url llm-event llm.chat
        llm.error->table llm.infer llm.reply->table llm.request->table llm.stats llm.stream
        llm.tokens llm.usage make-tool stream-text stream-thinking stream-usage tool-loop
        tool-schema
        """,
    "(omega mit)": """
        except-last-pair except-last-pair! fluid-let hash-table/get hash-table/put!
        parallel-execute real-time runtime stream-first stream-rest
        """,
    "(omega number)": """
        * + - -1+ / 1+ 1- < <= = > >= abs acos angle arithmetic-shift asin atan bit-count
        bitwise-and bitwise-ior bitwise-not bitwise-or bitwise-xor ceiling complex? cos dec
        denominator even? exact exact->inexact exact-integer-sqrt exact-integer?
        exact-nonnegative-integer? exact-rational? exact? exp expt finite? floor floor-quotient
        floor-remainder floor/ gcd imag-part inc inexact inexact->exact inexact? infinite?
        integer-length integer? lcm log magnitude make-polar make-rectangular max min modulo nan?
        natural? negative? number->string number? numerator odd? positive? quotient rational?
        rationalize real-part real? remainder round sin sqrt square string->number tan truncate
        truncate-quotient truncate-remainder truncate/ zero?
        """,
    "(omega port)": """
        ->string binary-port? char-ready? close-input-port close-output-port close-port
        current-error-port current-input-port current-output-port display display->string
        displayln eof-object eof-object? flush-output flush-output-port get-output-bytevector
        get-output-string input-port-open? input-port? newline object->string
        open-input-bytevector open-input-string open-output-bytevector open-output-string
        output-port-open? output-port? peek-char peek-u8 port->string port? read read-all
        read-bytevector read-bytevector! read-char read-line read-string read-u8 textual-port?
        u8-ready? write write->string write-bytevector write-char write-line write-shared
        write-simple write-string write-u8
        """,
    "(omega regex)": """
        regex regex-extract regex-extract-all regex-match regex-match-end regex-match-group
        regex-match-groups regex-match-start regex-match-table regex-match? regex-quote
        regex-replace regex-replace-all regex-search regex-search-all regex-split regex?
        """,
    "(omega sort)": """
        list-delete-neighbor-dups list-delete-neighbor-dups! list-merge list-merge! list-min
        list-sort list-sort! list-sorted? list-stable-sort list-stable-sort! merge merge! sort
        sort! sorted? vector-delete-neighbor-dups vector-delete-neighbor-dups! vector-find-median
        vector-find-median! vector-merge vector-merge! vector-select! vector-separate! vector-sort
        vector-sort! vector-sorted? vector-stable-sort vector-stable-sort!
        """,
    "(omega stream)": """
        cons-stream define-stream empty-stream? list->stream stream stream->list stream-append
        stream-car stream-cdr stream-concat stream-cons stream-constant stream-drop
        stream-drop-while stream-filter stream-fold stream-for-each stream-from stream-head
        stream-iterate stream-lambda stream-length stream-let stream-map stream-null? stream-of
        stream-pair? stream-range stream-ref stream-reverse stream-scan stream-tail stream-take
        stream-take-while stream-unfold stream-zip stream?
        """,
    "(omega string)": """
        format-string list->string make-string reverse-list->string string string->list
        string->vector string-any string-append string-break string-ci<=? string-ci<? string-ci=?
        string-ci>=? string-ci>? string-concatenate string-concatenate-reverse string-contains
        string-contains-right string-copy string-copy! string-count string-delete string-downcase
        string-drop string-drop-right string-drop-while string-drop-while-right string-every
        string-fill! string-filter string-fold string-fold-right string-foldcase string-for-each
        string-for-each-index string-format string-index string-index-right string-join
        string-length string-lines string-map string-null? string-pad string-pad-left
        string-pad-right string-prefix-length string-prefix? string-ref string-remove
        string-repeat string-replace string-reverse string-rindex string-search-forward
        string-segment string-set! string-skip string-skip-right string-span string-split
        string-suffix-length string-suffix? string-tabulate string-take string-take-right
        string-take-while string-take-while-right string-titlecase string-tokenize string-trim
        string-trim-both string-trim-left string-trim-right string-unfold string-unfold-right
        string-upcase string<=? string<? string=? string>=? string>? string? substring
        vector->string
        """,
    "(omega symbol)": """
        -> ->> assert boolean=? boolean? define-macro eq? equal? eqv? generate-uninterned-symbol
        gensym intern keyword->string keyword->symbol keyword? not procedure? string->keyword
        string->symbol string->uninterned-symbol symbol->keyword symbol->string symbol-append
        symbol=? symbol? unspecified? values void void?
        """,
    "(omega table)": """
        alist->hash alist->hash-table call-with-input-file call-with-output-file
        call-with-output-string call-with-port hash hash->alist hash-clear! hash-copy hash-count
        hash-delete! hash-empty? hash-filter hash-for-each hash-has-key? hash-keys hash-map
        hash-map->list hash-merge hash-merge! hash-ref hash-ref! hash-remove! hash-select
        hash-set! hash-size hash-table hash-table->alist hash-table-clear! hash-table-contains?
        hash-table-copy hash-table-count hash-table-delete! hash-table-difference!
        hash-table-empty-copy hash-table-empty? hash-table-entries hash-table-equivalence-function
        hash-table-exists? hash-table-find hash-table-fold hash-table-for-each hash-table-intern!
        hash-table-intersection! hash-table-keys hash-table-map hash-table-map!
        hash-table-map->list hash-table-merge! hash-table-mutable? hash-table-pop!
        hash-table-prune! hash-table-ref hash-table-ref/default hash-table-set! hash-table-size
        hash-table-unfold hash-table-union! hash-table-update! hash-table-update!/default
        hash-table-values hash-table-walk hash-table-xor! hash-table=? hash-table? hash-update!
        hash-values hash? make-hash-table with-input-from-file with-output-to-file
        with-output-to-string
        """,
    "(omega task)": """
        abort always async async-detached atomic await await-all await-any await-any/values
        await-first barrier-event barrier-wait cancel cancelled? channel->generator channel->list
        channel-for-each channel? check-schedules choose close! concurrency-stats
        configure-scheduler! current-task effect event? generator->channel get-task guard-event
        ivar-event ivar-put! ivar-take make-barrier make-channel make-ivar make-mutex
        make-progress make-semaphore make-serializer mutex-event mutex-release! never once par-map
        progress-add! progress-end! ps race recv! recv-event scope semaphore-event
        semaphore-release! send! send-event shield sleep supervise sync task-event task-id
        task-name task-result task-state task? tasks timer-event with-handler with-mutex with-nack
        with-semaphore with-timeout wrap yield
        """,
    "(omega test)": """
        check check-error check-false check-true test-group
        """,
    "(omega vector)": """
        bytevector bytevector-append bytevector-copy bytevector-copy! bytevector-fill!
        bytevector-length bytevector-u8-ref bytevector-u8-set! bytevector? list->vector
        make-bytevector make-vector reverse-list->vector reverse-vector reverse-vector->list
        string->utf8 subvector utf8->string vector vector->list vector-any vector-append
        vector-append-subvectors vector-binary-search vector-concatenate vector-copy vector-copy!
        vector-count vector-cumulate vector-empty? vector-every vector-fill! vector-filter
        vector-first vector-fold vector-fold-right vector-for-each vector-index vector-index-right
        vector-last vector-length vector-map vector-map! vector-partition vector-pop! vector-push!
        vector-ref vector-reverse vector-reverse! vector-reverse-copy vector-reverse-copy!
        vector-set! vector-skip vector-skip-right vector-swap! vector-tabulate vector-unfold
        vector-unfold! vector-unfold-right vector-unfold-right! vector= vector?
        """,
    "(omega world)": """
        command-line current-jiffy current-milliseconds current-second emergency-exit exit
        get-environment-variable get-environment-variables jiffies-per-second now random
        """,
}

SAME: dict[str, str] = {
    "(srfi 60)": "(omega bit)",
    "(srfi 151)": "(omega bit)",
    "(srfi 132)": "(omega sort)",
    "(srfi 13)": "(omega string)",
    "(srfi 130)": "(omega string)",
    "(srfi 152)": "(omega string)",
    "(srfi 43)": "(omega vector)",
    "(srfi 133)": "(omega vector)",
    "(srfi 69)": "(omega table)",
    "(srfi 125)": "(omega table)",
    "(srfi 121)": "(omega generator)",
    "(srfi 158)": "(omega generator)",
}
