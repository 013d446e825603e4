"""What the parts of the library define: written by `python docs/generate.py`.

Owns: PARTS, part -> (its procedures and variables, its macros), so that none needs to be read
before a program names something of it.
"""

PARTS: dict[str, tuple[str, str]] = {
    "channels": (
        """
        channel->generator channel->list channel-for-each generator->channel once
        """,
        """

        """,
    ),
    "conditions": (
        """

        """,
        """
        define-condition-type
        """,
    ),
    "mit-scheme": (
        """
        except-last-pair except-last-pair! false hash-table/get hash-table/put! nil
        parallel-execute real-time runtime stream-first stream-rest true
        """,
        """
        %fluid-let fluid-let
        """,
    ),
    "regex": (
        """
        %regex-replace-by regex-replace regex-replace-all
        """,
        """

        """,
    ),
    "restarts": (
        """
        continue retry skip use-value
        """,
        """
        restart-bind restart-case with-restarts
        """,
    ),
    "srfi-1": (
        """
        %after %check-lists %elements %membership %sets %subset? %with-new alist-cons alist-delete
        alist-delete! append! append-map! append-reverse! break break! car+cdr circular-list
        concatenate! delete delete! delete-duplicates delete-duplicates! drop-right! filter! list=
        lset-adjoin lset-diff+intersection lset-diff+intersection! lset-difference
        lset-difference! lset-intersection lset-intersection! lset-union lset-union! lset-xor
        lset-xor! lset<= lset= map! map-in-order not-pair? null-list? pair-fold pair-fold-right
        pair-for-each partition! reduce-right remove! span span! split-at! take! take-while!
        unfold unfold-right unzip1 unzip2 unzip3 unzip4 unzip5 xcons zip
        """,
        """

        """,
    ),
    "srfi-125": (
        """
        %table hash-table-count hash-table-difference! hash-table-empty-copy hash-table-entries
        hash-table-equivalence-function hash-table-find hash-table-fold hash-table-for-each
        hash-table-intern! hash-table-intersection! hash-table-map hash-table-map!
        hash-table-map->list hash-table-mutable? hash-table-prune! hash-table-ref
        hash-table-unfold hash-table-union! hash-table-update! hash-table-update!/default
        hash-table-walk hash-table-xor! hash-table=?
        """,
        """

        """,
    ),
    "srfi-132": (
        """
        %by-key %mean %median %merged %ordered-list? %two-lists list-delete-neighbor-dups
        list-delete-neighbor-dups! list-merge list-merge! list-min list-sort list-sort!
        list-sorted? list-stable-sort list-stable-sort! merge merge! sort! sorted?
        vector-delete-neighbor-dups vector-delete-neighbor-dups! vector-find-median
        vector-find-median! vector-merge vector-merge! vector-select! vector-separate! vector-sort
        vector-sort! vector-sorted? vector-stable-sort vector-stable-sort!
        """,
        """

        """,
    ),
    "srfi-133": (
        """
        %filled! %first-row reverse-list->vector reverse-vector->list vector-any
        vector-append-subvectors vector-binary-search vector-concatenate vector-count
        vector-cumulate vector-empty? vector-every vector-filter vector-fold vector-fold-right
        vector-index vector-index-right vector-map! vector-partition vector-reverse-copy
        vector-reverse-copy! vector-skip vector-skip-right vector-tabulate vector-unfold
        vector-unfold! vector-unfold-right vector-unfold-right! vector=
        """,
        """

        """,
    ),
    "srfi-151": (
        """
        %integer-from-0 bitwise-fold bitwise-for-each bitwise-unfold make-bitwise-generator
        """,
        """

        """,
    ),
    "srfi-158": (
        """
        %bytes %eof %generator %generators %gmerge %next-of-all %reversed-from
        bytevector->generator bytevector-accumulator bytevector-accumulator! circular-generator
        count-accumulator gappend gcombine gcons* gdelete gdelete-neighbor-dups gdrop gdrop-while
        generator generator->list generator->reverse-list generator->string generator->vector
        generator->vector! generator-any generator-count generator-every generator-find
        generator-fold generator-for-each generator-map->list generator-unfold gfilter gflatten
        ggroup gindex gmap gmerge gremove gselect gstate-filter gtake gtake-while list->generator
        list-accumulator make-accumulator make-iota-generator make-range-generator
        make-unfold-generator product-accumulator reverse-list-accumulator
        reverse-vector->generator reverse-vector-accumulator string->generator string-accumulator
        sum-accumulator vector->generator vector-accumulator vector-accumulator!
        """,
        """

        """,
    ),
    "srfi-2": (
        """

        """,
        """
        and-let*
        """,
    ),
    "srfi-26": (
        """

        """,
        """
        %cut %cute cut cute
        """,
    ),
    "streams": (
        """
        %count %each %fold %pair %ref %stream %streams %tail empty-stream? list->stream stream
        stream->list stream-append stream-car stream-cdr stream-concat stream-constant stream-drop
        stream-drop-while stream-filter stream-fold stream-for-each stream-from stream-head
        stream-iterate stream-length stream-map stream-null stream-null? stream-pair? stream-range
        stream-ref stream-reverse stream-scan stream-tail stream-take stream-take-while
        stream-unfold stream-zip stream? the-empty-stream
        """,
        """
        %stream-of cons-stream define-stream stream-cons stream-lambda stream-let stream-of
        """,
    ),
    "strings": (
        """
        %character-lists %kept %range-end %scan %scan-right string-any string-break string-count
        string-delete string-drop-while string-drop-while-right string-every string-filter
        string-fold string-fold-right string-for-each string-for-each-index string-index
        string-index-right string-map string-remove string-skip string-skip-right string-span
        string-tabulate string-take-while string-take-while-right string-tokenize string-trim
        string-trim-both string-trim-left string-trim-right string-unfold string-unfold-right
        """,
        """

        """,
    ),
    "testing": (
        """
        %check %check-error %check-true %test-group %test-path
        """,
        """
        check check-error check-false check-true test-group
        """,
    ),
}
