"""What the parts of the library define: written by `python docs/generate.py`.

Owns: PARTS, part -> (its procedures and variables, its macros), so that none needs to be read
before a program names something of it.
"""

PARTS: dict[str, tuple[str, str]] = {
    "conditions": (
        """

        """,
        """
        define-condition-type
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
    "srfi-151": (
        """
        %integer-from-0 bitwise-fold bitwise-for-each bitwise-unfold make-bitwise-generator
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
}
