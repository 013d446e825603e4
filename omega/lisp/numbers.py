"""Numbers as text: parsing and printing of integers, rationals and reals, of any length.

Owns: `parse_number`, `format_number`; products, powers, division and roots of long integers, made
of pieces of work that are each short (some 10 ms) and charged for; and conversion between long
digit strings and integers in better than quadratic time, past CPython's 4,300-digit limit (a
process-wide setting this module never touches: it converts in short chunks). Refuses: complex
numbers (the reader says so; here they are simply no numbers), and knowing about sources or spans.

Syntax: R7RS 7.1.1 <number> without complex; radix prefixes #b #o #d #x, exactness prefixes #e #i,
in either order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from math import isqrt, log2

from omega.errors import LimitExceeded

INTEGER_BITS_MAX = 16_000_000  # of integers multiplied, shifted, read or written: 5 s of work
EXPONENT_MAX = 1_000_000  # of an exact decimal such as #e1e1000000: its digits are all made
RATIO_BITS_MAX = 200_000  # above or below the line of a rational: its common divisors take 0.1 s
_CHUNK_DIGITS = 512  # CPython converts up to 640 digits whatever its limit is set to
_DECIMAL_BITS = (
    12_000  # beyond this many bits the `decimal` module (number-theoretic transform) prints faster
)

_DIGITS = {2: "01", 8: "0-7", 10: "0-9", 16: "0-9a-fA-F"}
_PREFIX = re.compile(r"(?:#[bodxeiBODXEI]){1,2}")
_RADIX_OF = {"b": 2, "o": 8, "d": 10, "x": 16}
_DECIMAL = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?\Z")
_SPECIAL = {
    "+inf.0": float("inf"),
    "-inf.0": float("-inf"),
    "+nan.0": float("nan"),
    "-nan.0": float("nan"),
}
_SPECIAL_NAMES = {"inf": "+inf.0", "-inf": "-inf.0", "nan": "+nan.0"}
_RATIONALS: dict[int, re.Pattern[str]] = {}
STEP_WORK = 21  # as a power of two: bits by bits of schoolbook work for one step
_PRODUCT_WORK = 13  # likewise: bits by the root of bits of Karatsuba's work
_PRODUCT_PIECE = 1 << 29  # of such work: 20 ms
_PIECE_BITS = 4096  # of the divisions a long one is made of
_FLOAT_EXPONENT = re.compile(r"e([+-])0*([0-9]+)\Z")

Charge = Callable[[int], None]  # takes the steps that the piece of work that follows is worth


def free(steps: int) -> None:
    """The charge of work nobody pays for."""


def too_long(bits: int, most: int, allowed: int, what: str) -> LimitExceeded:
    """The error for a number beyond `allowed` bits, of the `most` there can ever be: only a limit
    below that can be raised. what: "bits of a product".
    """
    if allowed < most:
        return LimitExceeded("size", min(bits, 10**18), allowed, what)
    hint = "this limit is fixed; inexact numbers, such as (inexact x), stay short"
    return LimitExceeded("number-size", min(bits, 10**18), most, what, hint)


def parse_number(
    text: str, radix: int = 10, charge: Charge = free, bits_max: int = INTEGER_BITS_MAX
) -> int | Fraction | float | None:
    """The number `text` denotes in `radix` (2 to 36; a prefix overrides it), or None when it
    denotes none.

    LimitExceeded("number-size") for an exact number with an exponent beyond EXPONENT_MAX, for an
    integer beyond INTEGER_BITS_MAX and a rational beyond RATIO_BITS_MAX; ("size") beyond bits_max.
    """
    if radix == 10 and len(text) <= _CHUNK_DIGITS:  # mostly digits, and perhaps a point in them
        unsigned = text[1:] if text[:1] in ("+", "-") else text
        rest = unsigned.strip("0123456789")
        if not rest and unsigned:
            return int(text)
        if rest == "." and len(unsigned) > 1:
            return float(text)
    exactness = ""
    if text[:1] == "#":
        prefix = _PREFIX.match(text)
        if prefix is None:
            return None
        letters = prefix.group().lower().replace("#", "")
        exact_letters = [c for c in letters if c in "ei"]
        if len(exact_letters) > 1 or len(letters) - len(exact_letters) > 1:
            return None
        for letter in letters:
            if letter in "ei":
                exactness = letter
            else:
                radix = _RADIX_OF[letter]
        text = text[prefix.end() :]
    special = _SPECIAL.get(text.lower()) if text[-2:] == ".0" else None
    if special is not None:
        return None if exactness == "e" else special
    rational = _rational_pattern(radix).match(text)
    if rational is not None:
        return _rational(rational, radix, exactness, charge, bits_max)
    if radix != 10:
        return None
    decimal = _DECIMAL.match(text)
    if decimal is None:
        return None
    return _exact_decimal(decimal, charge, bits_max) if exactness == "e" else float(text)


def _rational_pattern(radix: int) -> re.Pattern[str]:
    found = _RATIONALS.get(radix)
    if found is None:
        digits = _DIGITS.get(radix)
        if digits is None:
            every = "0123456789abcdefghijklmnopqrstuvwxyz"[:radix]
            digits = every + every.upper()
        found = re.compile(rf"([+-]?)([{digits}]+)(?:/([{digits}]+))?\Z")
        _RATIONALS[radix] = found
    return found


def _rational(
    match: re.Match[str], radix: int, exactness: str, charge: Charge, bits_max: int
) -> int | Fraction | float | None:
    sign, digits, below = match.groups()
    value: int | Fraction = parse_digits(digits, radix, charge, bits_max)
    if sign == "-":
        value = -value
    if below is not None:
        denominator = parse_digits(below, radix, charge, bits_max)
        if denominator == 0:
            return None
        value = _lowest_terms(int(value), denominator, charge)
    if exactness == "i":
        if sign == "-" and value == 0:
            return -0.0
        return to_float(value)
    return value


def _exact_decimal(match: re.Match[str], charge: Charge, bits_max: int) -> int | Fraction:
    sign, whole, part, only_part, exponent_text = match.groups()
    part = part or only_part or ""
    shift = (parse_digits(exponent_text.lstrip("+-"), 10) if exponent_text else 0) * (
        -1 if exponent_text and exponent_text[0] == "-" else 1
    )
    if abs(shift) > EXPONENT_MAX:
        raise too_long(abs(shift), EXPONENT_MAX, EXPONENT_MAX, "decimal digits")
    digits = parse_digits((whole or "") + part, 10, charge, bits_max)
    shift -= len(part)
    if sign == "-":
        digits = -digits
    if shift >= 0:
        return multiplied(digits, power(10, shift, charge), charge)
    return _lowest_terms(digits, power(10, -shift, charge), charge)


def _lowest_terms(above: int, below: int, charge: Charge) -> int | Fraction:
    bits = max(above.bit_length(), below.bit_length())
    if bits > RATIO_BITS_MAX:
        raise too_long(bits, RATIO_BITS_MAX, RATIO_BITS_MAX, "bits of a rational number")
    charge(bits * bits >> STEP_WORK)
    return normalize(Fraction(above, below))


def normalize(value: Fraction) -> int | Fraction:
    """An integral rational as the int it is."""
    return value.numerator if value.denominator == 1 else value


def to_float(value: int | Fraction | float) -> float:
    """The nearest float; infinite beyond the range of floats (R7RS `inexact`)."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def parse_digits(
    digits: str, radix: int, charge: Charge = free, bits_max: int = INTEGER_BITS_MAX
) -> int:
    """The integer a string of valid digits denotes; LimitExceeded as of `parse_number`."""
    if len(digits) <= _CHUNK_DIGITS:
        return int(digits, radix)
    bits = int(len(digits) * log2(radix))
    if bits > min(bits_max, INTEGER_BITS_MAX):
        raise too_long(bits, INTEGER_BITS_MAX, bits_max, "bits of an integer")
    charge(len(digits) >> 6)
    if radix & (radix - 1) == 0:
        return int(digits, radix)
    # Values of chunks, most significant first; then neighbours are joined pairwise: log n rounds,
    # long operands meet only in the last ones.
    head = len(digits) % _CHUNK_DIGITS
    parts = [int(digits[:head], radix)] if head else []
    for at in range(head, len(digits), _CHUNK_DIGITS):
        parts.append(int(digits[at : at + _CHUNK_DIGITS], radix))
    scale = radix**_CHUNK_DIGITS
    while len(parts) > 1:
        odd = len(parts) & 1
        joined = parts[:odd]
        for at in range(odd, len(parts), 2):
            joined.append(multiplied(parts[at], scale, charge) + parts[at + 1])
        parts = joined
        if len(parts) > 1:
            scale = multiplied(scale, scale, charge)
    return parts[0]


def format_number(number: int | Fraction | float, radix: int = 10, charge: Charge = free) -> str:
    """The shortest text `parse_number` reads back as this number. A float is always written in
    radix 10.
    """
    if type(number) is int:
        return format_int(number, radix, charge)
    if type(number) is float:
        return _format_float(number)
    if isinstance(number, Fraction):
        above = format_int(number.numerator, radix, charge)
        return f"{above}/{format_int(number.denominator, radix, charge)}"
    return format_int(int(number), radix, charge)


def _format_float(number: float) -> str:
    text = float.__repr__(number)
    if "e" not in text:
        return text if "." in text else _SPECIAL_NAMES[text]
    exponent = _FLOAT_EXPONENT.search(text)
    if exponent is None:
        return text
    sign = "-" if exponent.group(1) == "-" else ""
    return f"{text[: exponent.start()]}e{sign}{exponent.group(2)}"


def format_int(number: int, radix: int = 10, charge: Charge = free) -> str:
    """The digits of `number` in `radix` (2 to 36), lower case; any length."""
    if radix == 10:
        bits = number.bit_length()
        if bits < 1_600:  # fewer than 512 digits
            return int.__repr__(number)
        return _format_long(number) if bits < _DECIMAL_BITS else _format_huge(number, charge)
    steps = number.bit_length() >> 12
    if steps:
        charge(steps)
    if radix == 16:
        return f"{number:x}"
    if radix == 8:
        return f"{number:o}"
    if radix == 2:
        return f"{number:b}"
    return _format_radix(number, radix, charge)


def _format_long(number: int) -> str:
    chunks: list[str] = []
    scale = 10**_CHUNK_DIGITS
    rest = abs(number)
    while rest >= scale:
        rest, chunk = divmod(rest, scale)
        chunks.append(int.__repr__(chunk).rjust(_CHUNK_DIGITS, "0"))
    chunks.append(int.__repr__(rest))
    return ("-" if number < 0 else "") + "".join(reversed(chunks))


def _format_huge(number: int, charge: Charge) -> str:
    """Binary to decimal by multiplication only, in `decimal` arithmetic (as CPython's own _pylong
    does). The context is no current one: another task may run while work is charged for.
    """
    import decimal

    context = decimal.Context(
        prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.Inexact]
    )
    data = abs(number)
    width = 4096
    raw = data.to_bytes((data.bit_length() + 7) // 8, "little")
    step = width // 8
    parts = [
        context.create_decimal(int.from_bytes(raw[at : at + step], "little"))
        for at in range(0, len(raw), step)
    ]
    scale = context.power(decimal.Decimal(2), width)
    while len(parts) > 1:
        joined: list[decimal.Decimal] = []
        for at in range(0, len(parts) - 1, 2):
            charge(width >> 7)
            joined.append(context.fma(parts[at + 1], scale, parts[at]))
        if len(parts) & 1:
            joined.append(parts[-1])
        parts = joined
        if len(parts) > 1:
            charge(width >> 7)
            scale = context.multiply(scale, scale)
            width *= 2
    text = str(parts[0])
    return "-" + text if number < 0 else text


def _format_radix(number: int, radix: int, charge: Charge) -> str:
    """Divide and conquer with an explicit stack: halves of about equal digit counts."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    rest = abs(number)
    powers = [radix]
    while 2 * powers[-1].bit_length() <= rest.bit_length() + 1:
        powers.append(multiplied(powers[-1], powers[-1], charge))
    out: list[str] = []
    work = [(rest, len(powers))]
    while work:
        value, level = work.pop()
        if level == 0:
            out.append(digits[value])
            continue
        if level == 6:  # 64 digits in short steps
            charge(32)
        high, low = floored(value, powers[level - 1], charge)
        work.append((low, level - 1))
        work.append((high, level - 1))
    text = "".join(out).lstrip("0") or "0"
    return "-" + text if number < 0 else text


# -- products and powers of long integers ----------------------------------------------------------


def product_steps(long: int, short: int) -> int:
    """The steps that a product of two integers of so many bits is worth, made in one piece."""
    return long * isqrt(short) >> _PRODUCT_WORK


def multiplied(x: int, y: int, charge: Charge) -> int:
    """x * y: charged for, and in pieces when it is long (halving and, of numbers of about the same
    length, Karatsuba's three products for four).
    """
    long, short = (x, y) if x.bit_length() >= y.bit_length() else (y, x)
    bits = long.bit_length()
    work = bits * isqrt(short.bit_length())
    if work <= _PRODUCT_PIECE:
        charge(product_steps(bits, short.bit_length()))
        return x * y
    half = (bits + 1) >> 1
    mask = (1 << half) - 1
    high, low = long >> half, long & mask
    if short.bit_length() <= half:
        return (multiplied(high, short, charge) << half) + multiplied(low, short, charge)
    if long is short:
        other_high, other_low, both = high, low, high + low
    else:
        other_high, other_low = short >> half, short & mask
        both = other_high + other_low
    top, bottom = multiplied(high, other_high, charge), multiplied(low, other_low, charge)
    middle = multiplied(both if long is short else high + low, both, charge) - top - bottom
    return (((top << half) + middle) << half) + bottom


def power(base: int, exponent: int, charge: Charge) -> int:
    """base**exponent for an exponent of at least 0: charged for, and in pieces when it is long."""
    if base.bit_length() * exponent <= _PIECE_BITS:
        return int(base**exponent)
    charge(base.bit_length() * exponent >> 6)
    twos = (base & -base).bit_length() - 1
    base >>= twos
    result = 1
    for bit in f"{exponent:b}":
        result = multiplied(result, result, charge)
        if bit == "1":
            result = multiplied(result, base, charge)
    return result << twos * exponent


# -- division and roots of long integers -----------------------------------------------------------


def floored(x: int, y: int, charge: Charge) -> tuple[int, int]:
    """divmod(x, y), y not being 0: charged for, and in pieces when it is long."""
    size = y.bit_length()
    if (x.bit_length() - size) * size < 1 << STEP_WORK:
        return divmod(x, y)
    q, r = _divided_long(abs(x), abs(y), charge)
    if (x < 0) is not (y < 0):
        q, r = (-q, r) if r == 0 else (-q - 1, abs(y) - r)
    return q, r if y > 0 else -r


def _divided_long(x: int, y: int, charge: Charge) -> tuple[int, int]:
    """Schoolbook division in base 2**width with digits as long as y, each found by recursion
    (Burnikel and Ziegler), so about as fast as multiplication and never long in one piece.
    """
    short = y.bit_length() <= _PIECE_BITS
    shift = 0 if short else -y.bit_length() % 8
    x, y = x << shift, y << shift
    width = 4 * _PIECE_BITS if short else y.bit_length()
    data = x.to_bytes((x.bit_length() + 7) // 8, "little")
    step = width // 8
    rest = 0
    digits: list[bytes] = []
    for at in range((len(data) - 1) // step * step, -1, -step):
        above = rest << width | int.from_bytes(data[at : at + step], "little")
        if short:
            charge(max(1, width * y.bit_length() >> STEP_WORK))
            digit, rest = divmod(above, y)
        else:
            digit, rest = _two_by_one(above, y, width, charge)
        digits.append(digit.to_bytes(step, "little"))
    return int.from_bytes(b"".join(reversed(digits)), "little"), rest >> shift


def _two_by_one(a: int, b: int, n: int, charge: Charge) -> tuple[int, int]:
    """divmod(a, b) for b of n bits and a below b << n."""
    if a.bit_length() - n <= _PIECE_BITS:
        charge(max(1, n * _PIECE_BITS >> STEP_WORK))
        return divmod(a, b)
    pad = n & 1
    a, b, n = a << pad, b << pad, n + pad
    half = n >> 1
    mask = (1 << half) - 1
    high, low = b >> half, b & mask
    q1, r = _three_by_two(a >> n, (a >> half) & mask, b, high, low, half, charge)
    q2, r = _three_by_two(r, a & mask, b, high, low, half, charge)
    return q1 << half | q2, r >> pad


def _three_by_two(
    above: int, below: int, b: int, high: int, low: int, n: int, charge: Charge
) -> tuple[int, int]:
    """divmod(above << n | below, b) for b = high << n | low of 2n bits and a quotient of n bits."""
    if above >> n == high:
        q, r = (1 << n) - 1, above - (high << n) + high
    else:
        q, r = _two_by_one(above, high, n, charge)
    r = (r << n | below) - multiplied(q, low, charge)
    while r < 0:
        q -= 1
        r += b
    return q, r


def integer_root(n: int, charge: Charge) -> tuple[int, int]:
    """The greatest integer whose square is not above n, and what the square leaves (Zimmermann)."""
    if n.bit_length() <= 2 * _PIECE_BITS:
        root = isqrt(n)
        return root, n - root * root
    part = n.bit_length() // 4
    mask = (1 << part) - 1
    high, rest = integer_root(n >> 2 * part, charge)
    q, r = floored(rest << part | (n >> part) & mask, 2 * high, charge)
    root, rest = (high << part) + q, (r << part | n & mask) - multiplied(q, q, charge)
    while rest < 0:
        rest += 2 * root - 1
        root -= 1
    return root, rest
