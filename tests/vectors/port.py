#!/usr/bin/env python3
"""The mask function, version 1, in plain Python, and a check of every golden vector with it.

It follows README.md beside it and uses nothing else; the steps are those of its definition. It
needs Python 3.8 and the standard library.

    python3 port.py [FOLDER]

FOLDER holds the vectors. Without it they are beside this file.
"""

import hashlib
import os
import statistics
import struct
import sys
from collections import Counter, namedtuple
from functools import lru_cache
from itertools import product

# Numbers

ONE = 1 << 63
WORD = (1 << 64) - 1
HALF = (1 << 32) - 1


def mul(a, b):
    """The product of two probabilities, or of a sum of probabilities and one."""
    return (a * b) >> 63


def power(r, n):
    """The probability r to the power of n."""
    x = ONE
    for bit in bin(n)[2:]:
        x = mul(x, x)
        if bit == "1":
            x = mul(x, r)
    return x


def volume(sizes):
    """The product of the sizes along depth, height and width."""
    depth, height, width = sizes
    return depth * height * width


def round_quotient(a, b, digits):
    """a / b, rounded to nearest, ties to even, to so many binary digits; exact before that."""
    shift = digits + 1 - (a.bit_length() - b.bit_length())
    quotient, rest = divmod(a << max(shift, 0), b << max(-shift, 0))
    extra = quotient.bit_length() - digits
    quotient, low = quotient >> extra, quotient & ((1 << extra) - 1)
    middle = 1 << (extra - 1)
    if low > middle or low == middle and (rest or quotient & 1):
        quotient += 1
    return float(quotient) * 2.0 ** (extra - shift)


# Arguments

ARGUMENTS = (
    "samples channels map block drop_prob gamma region alignment sharing scale "
    "seed step layer first_sample fill strides"
)
Arguments = namedtuple("Arguments", ARGUMENTS, defaults=("Zero", None))

REGIONS = ("Valid", "Full")
ALIGNMENTS = ("Before", "After")
SHARINGS = ("SampleChannel", "Sample", "Channel", "All")
SCALES = ("Tensor", "Sample", "Channel", "Fixed", "None", "PerPosition")
FILLS = ("Zero", "Noise")


def in_three_axes(sizes):
    """Depth, height and width; a missing axis has size 1."""
    return [1] * (3 - len(sizes)) + list(sizes)


def drop_probability(arguments):
    """p: the drop probability in units of 2^-63. A product with a power of two is exact."""
    return int(arguments.drop_prob * 2.0**63)


def block_sizes(arguments):
    """The block along depth, height and width, before it is clamped."""
    kind, value = arguments.block
    if kind == "relative":
        return in_three_axes([max(1, int(value * size)) for size in arguments.map])
    if len(value) == 1:
        value = value * len(arguments.map)
    return in_three_axes(value)


def mask_planes(arguments):
    """The samples and channels of the mask, and its planes per sample."""
    samples, channels = arguments.samples, arguments.channels
    if arguments.sharing in ("Channel", "All"):
        samples = min(samples, 1)
    if arguments.sharing in ("Sample", "All"):
        channels = min(channels, 1)
    per_sample = {"SampleChannel": channels, "Sample": 1, "Channel": 0, "All": 0}
    return samples, channels, per_sample[arguments.sharing]


def plane_of(arguments, sample, channel):
    """The plane of the mask that a map of the tensor has."""
    samples, channels, _ = mask_planes(arguments)
    return (sample if samples > 1 else 0) * channels + (channel if channels > 1 else 0)


# Step 1: block

Axis = namedtuple("Axis", "size block places before")


def axes_of(arguments):
    """Size, clamped block and number of places of each axis, and how far a block reaches before
    the index that names its place."""
    axes = []
    for size, block in zip(in_three_axes(arguments.map), block_sizes(arguments)):
        block = min(block, size)
        if arguments.region == "Valid":
            axes.append(Axis(size, block, size - block + 1 if size > 0 else 0, 0))
        else:
            before = block // 2 if arguments.alignment == "Before" else (block - 1) // 2
            axes.append(Axis(size, block, size, before))
    return axes


def covers(axis):
    """The cover of each index of an axis."""
    last_places = [min(index + axis.before, axis.places - 1) for index in range(axis.size)]
    return [
        last - max(index + axis.before - axis.block + 1, 0) + 1
        for index, last in enumerate(last_places)
    ]


# Step 2: gamma


def gamma_of(arguments, axes):
    """Gamma in units of 2^-63, before the table rounds it."""
    kind, value = arguments.gamma
    units = volume(axis.size for axis in axes)
    if kind == "exact":
        return exact_gamma(axes, drop_probability(arguments))
    if kind != "raw":
        if units == 0:
            return 0
        places = volume(
            axis.size - axis.block + 1 if kind == "paper-valid" else axis.places for axis in axes
        )
        blocks = float(volume(axis.block for axis in axes))
        value = arguments.drop_prob * value * float(units) / (blocks * float(places))
    return ONE if value >= 1.0 else int(value * 2.0**63)


def exact_gamma(axes, p):
    """The largest gamma that keeps as many units as asked."""
    units = volume(axis.size for axis in axes)
    if units == 0:
        return p
    axes_covers = [covers(axis) for axis in axes]
    low, high = 0, ONE
    while low < high:
        middle = (low + high + 1) // 2
        if kept(axes, axes_covers, middle) >= units * (ONE - p):
            low = middle
        else:
            high = middle - 1
    return low


def kept(axes, axes_covers, gamma):
    """The expected number of kept units of one map, in units of 2^-63."""
    most = [min(axis.block, axis.places) for axis in axes]
    n_d, n_h, n_w = [Counter(axis_covers) for axis_covers in axes_covers]
    first, last = axes_covers[2][0], axes_covers[2][-1]
    total = 0
    d = ONE
    for c_d in range(1, most[0] + 1):
        d = mul(d, ONE - gamma)
        h = ONE
        for c_h in range(1, most[1] + 1):
            h = mul(h, d)
            times = n_d[c_d] * n_h[c_h]
            if times > 0:
                w = slope(h, first, most[2]) + slope(h, last, most[2])
                total += times * (w + n_w[most[2]] * power(h, most[2]))
    return total


def slope(r, start, end):
    """The sum of the powers from start to end - 1 of r."""
    if start >= end:
        return 0
    total, q = 0, ONE
    for bit in bin(end - start)[2:]:
        total += mul(total, q)
        q = mul(q, q)
        if bit == "1":
            total = ONE + mul(total, r)
            q = mul(q, r)
    return mul(total, power(r, start))


# Step 3: gaps


@lru_cache(maxsize=4)
def survival(gamma):
    """S: the probabilities of a gap of j or more, in units of 2^-32."""
    s, q = [], ONE
    for _ in range(1024):
        s.append((q + (1 << 30)) >> 31)
        q = mul(q, ONE - gamma)
    return s + [0]


def gap_table(gamma):
    """The alias table of the gaps."""
    s = survival(gamma)
    weight = [s[j] - s[j + 1] for j in range(1024)]
    full = 1 << 22
    entry = list(range(1024))
    small_columns = [j for j in range(1024) if weight[j] < full]
    large_columns = iter([j for j in range(1024) if weight[j] >= full])
    large = next(large_columns)
    for column in small_columns:
        while True:
            entry[column] = weight[column] << 10 | large
            weight[large] -= full - weight[column]
            if weight[large] >= full:
                break
            column, large = large, next(large_columns)
    return entry


# Step 5: generator


def mix(z):
    """The last part of SplitMix64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def hash_word(w):
    """hash(w)"""
    return mix((w + 0x9E3779B97F4A7C15) & WORD)


def absorb(pair, w):
    """The pair after it has absorbed a word."""
    a, b = pair
    return mix((hash_word(w) + a) & WORD), mix(hash_word(w) ^ b)


def pair_of_key(seed, step, layer):
    """The pair a, b of the key."""
    pair = 0x243F6A8885A308D3, 0x13198A2E03707344
    for w in (seed, step, layer):
        pair = absorb(pair, w)
    return pair[0] & ~1, pair[1] | 1


def draws(pair, segment):
    """The draws of a segment's generator, xoshiro128++."""
    a, b = absorb(pair, segment)
    s0, s1, s2, s3 = a & HALF, a >> 32, b & HALF, b >> 32
    while True:
        x = (s0 + s3) & HALF
        yield ((x << 7 | x >> 25) + s0) & HALF
        t = s1 << 9 & HALF
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = (s3 << 11 | s3 >> 21) & HALF


# Steps 4 and 6: line and centres


def centres_of_segment(pair, table, segment):
    """The numbers in the line of the centres of one segment."""
    place = 0
    for draw in draws(pair, segment):
        column, entry = draw & 1023, table[draw & 1023]
        gap = column if draw >> 10 < entry >> 10 else entry & 1023
        place += gap
        if place >= 4096:
            return
        if gap != 1023:
            yield 4096 * segment + place
            place += 1


def centres_of_tensor(pair, table, first, end):
    """The centres from number first of the line to number end - 1."""
    if first == end:
        return
    for segment in range(first // 4096, (end - 1) // 4096 + 1):
        for centre in centres_of_segment(pair, table, segment):
            if first <= centre < end:
                yield centre


# Step 7: mask

Mask = namedtuple("Mask", "planes axes gamma pair")


def draw_mask(arguments):
    """The planes of the mask, each a text with a 0 or 1 for each unit."""
    axes = axes_of(arguments)
    gamma = gamma_of(arguments, axes)
    pair = pair_of_key(arguments.seed, arguments.step, arguments.layer)
    places = volume(axis.places for axis in axes)
    samples, channels, per_sample = mask_planes(arguments)
    first = arguments.first_sample * per_sample * places
    end = first + samples * channels * places
    if end + 4096 > WORD:
        raise ValueError("first_sample is too large")
    centres = [[] for _ in range(samples * channels)]
    for centre in centres_of_tensor(pair, gap_table(gamma), first, end):
        plane, place = divmod(centre - first, places)
        centres[plane].append(place)
    return Mask([draw_plane(axes, places) for places in centres], axes, gamma, pair)


def draw_plane(axes, places):
    """The units of a plane that the blocks of these places cover.

    Each axis is made longer, so that every block fits: the block of place i then covers i to
    i + k - 1, and index u of the map is index u + before. The units are bits of one integer.
    """
    if not places:
        return "0" * volume(axis.size for axis in axes)
    _, places_h, places_w = [axis.places for axis in axes]
    long_d, long_h, long_w = [axis.places + axis.block - 1 for axis in axes]
    marks = bytearray(b"0" * (long_d * long_h * long_w))
    for place in places:
        row, x = divmod(place, places_w)
        z, y = divmod(row, places_h)
        marks[-1 - ((z * long_h + y) * long_w + x)] = ord("1")
    bits = int(marks, 2)
    for axis, stride in zip(axes, (long_h * long_w, long_w, 1)):
        done = 1
        while done < axis.block:
            more = min(done, axis.block - done)
            bits |= bits << (more * stride)
            done += more
    text = bin(bits)[:1:-1].ljust(len(marks), "0")
    starts = [
        ((z + axes[0].before) * long_h + y + axes[1].before) * long_w + axes[2].before
        for z, y in product(range(axes[0].size), range(axes[1].size))
    ]
    return "".join([text[start : start + axes[2].size] for start in starts])


def mask_bytes(mask):
    """The mask as a string of bits, eight in a byte."""
    text = "".join(mask.planes)
    return int(text[::-1] or "0", 2).to_bytes((len(text) + 7) // 8, "little")


# Step 8: scale


def scales_of_map(arguments, mask, sample, channel, digits):
    """The scale of each unit of one map, of the type with so many binary digits."""
    units = volume(axis.size for axis in mask.axes)
    own = plane_of(arguments, sample, channel)
    if arguments.scale == "PerPosition":
        return position_scales(mask, digits)
    if arguments.scale == "None":
        ratio = (1, 1)
    elif arguments.scale == "Fixed":
        ratio = (ONE, ONE - drop_probability(arguments))
    elif arguments.scale == "Tensor":
        ratio = count(mask.planes)
    elif arguments.scale == "Sample":
        _, channels, _ = mask_planes(arguments)
        first = own // channels * channels
        ratio = count(mask.planes[first : first + channels])
    else:
        ratio = count([mask.planes[own]])
    return [round_quotient(*ratio, digits) if ratio[1] else 0.0] * units


def count(planes):
    """All units of the planes, and the kept ones."""
    return sum(map(len, planes)), sum(plane.count("0") for plane in planes)


def position_scales(mask, digits):
    """1 / keep of each unit of a map."""
    s = survival(mask.gamma)
    realised = (((1 << 32) - s[1023]) << 63) // sum(s[:1023])
    scales = []
    for c_d, c_h, c_w in product(*[covers(axis) for axis in mask.axes]):
        keep = power(power(power(ONE - realised, c_d), c_h), c_w)
        scales.append(to_type(2.0**63 / float(keep), digits) if keep else 0.0)
    return scales


# Step 9: output

FORMATS = {24: "<f", 53: "<d"}


def to_type(x, digits):
    """A double rounded to the type with so many binary digits, f32 or f64."""
    return struct.unpack(FORMATS[digits], struct.pack(FORMATS[digits], x))[0]


@lru_cache(maxsize=1 << 16)
def scaled(x, scale, digits):
    """The bytes of the product of an element and its scale. The product of two f32 is exact in
    double precision, so it is rounded once."""
    return struct.pack(FORMATS[digits], x * scale if scale else 0.0)


def elements_of_map(arguments, mask, sample, channel):
    """Where the elements of a map lie in the buffer."""
    depth, height, width = sizes = [axis.size for axis in mask.axes]
    dense = (arguments.channels * volume(sizes), volume(sizes), height * width, width, 1)
    n, c, d, h, w = arguments.strides or dense
    return [
        sample * n + channel * c + z * d + y * h + x * w
        for z, y, x in product(range(depth), range(height), range(width))
    ]


def maps_of(arguments):
    """The maps of the tensor, sample by sample and channel by channel."""
    return product(range(arguments.samples), range(arguments.channels))


def buffer_length(arguments, mask):
    """The length of a buffer that ends with the last element."""
    last = elements_of_map(arguments, mask, arguments.samples - 1, arguments.channels - 1)
    return last[-1] + 1


def forward(arguments, mask, digits):
    """The bytes of the buffer after the forward pass in f32 or f64."""
    pack = FORMATS[digits]
    x = [float(i % 257 - 128) for i in range(buffer_length(arguments, mask))]
    buffer = [struct.pack(pack, value) for value in x]
    zero = struct.pack(pack, 0.0)
    for sample, channel in maps_of(arguments):
        plane = mask.planes[plane_of(arguments, sample, channel)]
        elements = elements_of_map(arguments, mask, sample, channel)
        scales = scales_of_map(arguments, mask, sample, channel, digits)
        for position, (dropped, i, scale) in enumerate(zip(plane, elements, scales)):
            if dropped == "0":
                buffer[i] = scaled(x[i], scale, digits)
            elif arguments.fill == "Noise":
                number = element_number(arguments, sample, channel, position, len(plane))
                deviate = normal(noise_draw(mask.pair, number))
                buffer[i] = struct.pack(pack, deviate * 2.0**-28)
            else:
                buffer[i] = zero
    return b"".join(buffer)


def drop_alone(arguments, mask, value):
    """The bytes of a buffer of i8 after dropping alone."""
    buffer = [i % 251 - 128 for i in range(buffer_length(arguments, mask))]
    for sample, channel in maps_of(arguments):
        plane = mask.planes[plane_of(arguments, sample, channel)]
        for dropped, i in zip(plane, elements_of_map(arguments, mask, sample, channel)):
            if dropped == "1":
                buffer[i] = value
    return struct.pack("<%db" % len(buffer), *buffer)


# Step 10: noise

TABLE = []


def element_number(arguments, sample, channel, position, units):
    """The number of an element in the whole batch; position counts the units of its map."""
    plane = (arguments.first_sample + sample) * arguments.channels + channel
    return (plane * units + position) & WORD


def noise_draw(pair, number):
    """The 32 bits of an element."""
    a, b = mix(pair[0] ^ 0x4E6F697365), mix(pair[1] ^ 0x4E6F697365)
    both = mix((mix(hash_word(number >> 1) ^ a) + b) & WORD)
    return both >> 32 if number & 1 else both & HALF


def normal(draw):
    """The deviate of 32 bits, in units of 2^-28."""
    tail = draw | 1
    octave = tail.bit_length() - 1
    place = ((tail << 31) >> octave) - (1 << 31)
    first, t = 16 * octave + 2 * (place >> 28), place % (1 << 28)
    z0, z1, z2 = TABLE[first : first + 3]
    rise, bend = 4 * z1 - 3 * z0 - z2, 2 * z0 - 4 * z1 + 2 * z2
    z = z0 + (((rise + ((bend * t) >> 28)) * t) >> 28)
    return -z if draw & 1 else z


def read_table(folder):
    """Reads the table. What cannot be read is missing, and the check of the file reports it."""
    for line in lines_of(read(folder, "normal.txt")):
        try:
            TABLE.extend(numbers(line.split(": ")[1]))
        except (ValueError, IndexError):
            return


def quantile(entry):
    """What an entry of the table is, from the normal distribution."""
    octave, s = divmod(entry, 16)
    tail = 2.0 ** (octave - 33) * (1 + s / 16)
    return round(-statistics.NormalDist().inv_cdf(tail) * 2.0**28)


# Files


def fnv(data):
    """The FNV of bytes, in hexadecimal."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & WORD
    return "%016x" % value


def streams_line(line):
    """What a line of streams.txt must be."""
    seed, step, layer, segment = numbers(line.split(":")[0])
    generator = draws(pair_of_key(seed, step, layer), segment)
    return "%d %d %d %d: %s" % (
        (seed, step, layer, segment) + (" ".join("%08x" % next(generator) for _ in range(4)),)
    )


def tables_line(line):
    """What a line of tables.txt must be."""
    gamma = int(line.split(":")[0], 16)
    table = gap_table(gamma)
    entries = " ".join("%08x" % table[column] for column in (0, 1, 511, 1022, 1023))
    return "%016x: %s %s" % (gamma, entries, fnv(struct.pack("<1024I", *table)))


def normal_line(line):
    """What a line of normal.txt must be."""
    octave = int(line.split(":")[0])
    entries = range(16 * octave, min(16 * octave + 16, 513))
    return "%d: %s" % (octave, " ".join(str(quantile(entry)) for entry in entries))


def noise_line(line):
    """What a line of noise.txt must be."""
    arguments = line.split(":")[0]
    if " " not in arguments:
        draw = int(arguments, 16)
        return "%08x: %d" % (draw, normal(draw))
    seed, step, layer, number = numbers(arguments)
    draw = noise_draw(pair_of_key(seed, step, layer), number)
    return "%d %d %d %d: %08x %d" % (seed, step, layer, number, draw, normal(draw))


def hashes_line(line):
    """What a line of hashes.txt must be."""
    number = int(line.split(" ")[0])
    mask = draw_mask(configuration(number))
    data = mask_bytes(mask)
    data += bytes(-len(data) % 8)
    dropped = sum(plane.count("1") for plane in mask.planes)
    return "%d %d %s" % (number, dropped, hashlib.sha256(data).hexdigest())


def configuration(number):
    """The arguments of a line of hashes.txt."""
    state = number

    def draw():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & WORD
        return mix(state)

    def below(limit):
        return draw() % limit

    def choice(*entries):
        return entries[below(len(entries))]

    kind = below(8)
    if kind == 0:
        sizes = [1 + below(5000)]
    elif kind == 1:
        sizes = [1 + below(8), 1 + below(30), 1 + below(40)]
    elif kind == 2:
        sizes = [100 + below(200), 90 + below(150)]
    elif kind == 3:
        sizes = [7, 7]
    elif kind == 4:
        sizes = [14, 14]
    elif kind == 5:
        sizes = [1 + below(70), 1 + below(70)]
    else:
        sizes = [20 + below(40), 20 + below(40)]
    samples = 1 + below(4)
    most_channels = 60000 // volume(in_three_axes(sizes)) // samples
    channels = 1 + below(min(max(most_channels, 1), 40))
    kind = below(5)
    if kind == 0:
        block = 1
    elif kind == 1:
        block = 2 + 2 * below(6)
    elif kind == 2:
        block = 1 + below(80)
    else:
        block = 3 + 2 * below(4)
    drop_prob = choice(0.01, 0.1, 0.1, 0.25, 0.5, 0.9, 1.0)
    kind = below(4)
    if kind == 0:
        gamma = ("exact", None)
    elif kind == 1:
        gamma = ("raw", choice(0.0, 0.0001, 0.01, 0.3, 1.0))
    else:
        gamma = ("paper", 1.0)
    region = choice("Valid", "Full")
    alignment = choice("Before", "After")
    sharing = choice("SampleChannel", "SampleChannel", "Sample", "Channel", "All")
    scale = choice("Tensor", "Tensor", "Sample", "Channel", "Fixed", "None", "PerPosition")
    fill = choice("Zero", "Zero", "Noise")
    below(4)  # The order in memory, on which no mask depends.
    first_sample = choice(0, 0, 5, 1000000007)
    seed, step, layer = draw(), below(1000), below(50)
    place = (region, alignment, sharing, scale, seed, step, layer, first_sample, fill)
    return Arguments(samples, channels, sizes, ("list", [block]), drop_prob, gamma, *place)


def numbers(text):
    """Decimal numbers with spaces between them."""
    return [int(number) for number in text.split(" ")]


def size_list(text):
    """A list `[a, b]`."""
    if text[0] != "[" or text[-1] != "]":
        raise ValueError("no list: " + text)
    return [int(number) for number in text[1:-1].split(", ")]


def block_argument(text):
    """The field `block`."""
    if text.startswith("relative "):
        return "relative", float(text[9:])
    return "list", size_list(text)


def gamma_argument(text):
    """The field `gamma`."""
    if text == "exact":
        return "exact", None
    kind, value = text.split(" ")
    if kind not in ("raw", "paper", "paper-valid"):
        raise ValueError("no gamma: " + text)
    return kind, float(value)


def one_of(names):
    """A field that is one of these names."""

    def parse(text):
        if text not in names:
            raise ValueError("none of %s: %s" % (names, text))
        return text

    return parse


PARSERS = {
    "map": size_list,
    "block": block_argument,
    "drop_prob": float,
    "gamma": gamma_argument,
    "region": one_of(REGIONS),
    "alignment": one_of(ALIGNMENTS),
    "sharing": one_of(SHARINGS),
    "scale": one_of(SCALES),
    "fill": one_of(FILLS),
    "strides": size_list,
}


def mask_entry(text, types):
    """What an entry of masks.txt must be, with the outputs of these types."""
    fields = [line.split(" = ") for line in text.split("\n")]
    given = {name: value for name, value in fields if name in ARGUMENTS.split()}
    arguments = Arguments(**{name: PARSERS.get(name, int)(given[name]) for name in given})
    mask = draw_mask(arguments)
    data = mask_bytes(mask)
    found = [(name, given[name]) for name in ARGUMENTS.split() if name in given]
    found += [
        ("gamma_2_63", "%016x" % mask.gamma),
        ("units", sum(map(len, mask.planes))),
        ("dropped", sum(plane.count("1") for plane in mask.planes)),
        ("mask_fnv", fnv(data)),
        ("output_fnv", fnv(forward(arguments, mask, 24))),
    ]
    if "f64" in types:
        found.append(("output_f64_fnv", fnv(forward(arguments, mask, 53))))
    if "i8" in types:
        found.append(("output_i8_fnv", fnv(drop_alone(arguments, mask, -3))))
    if len(data) <= 128:
        found.append(("mask", data.hex()))
    return "\n".join("%s = %s" % field for field in found)


def masks_entry(text):
    """What an entry of masks.txt must be."""
    return mask_entry(text, ["f32"])


def variants_entry(text):
    """What an entry of variants.txt must be."""
    return mask_entry(text, ["f32", "f64", "i8"])


def read(folder, name):
    """The text of a file without its comments."""
    with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
        return "\n".join(line for line in file.read().split("\n") if not line.startswith("#"))


def lines_of(text):
    """The entries of a file that has one in each line."""
    return [line for line in text.split("\n") if line]


def blocks_of(text):
    """The entries of a file that separates them by empty lines."""
    return [block.strip("\n") for block in text.split("\n\n") if block.strip("\n")]


FILES = (
    ("streams.txt", 48, lines_of, streams_line),
    ("tables.txt", 16, lines_of, tables_line),
    ("normal.txt", 33, lines_of, normal_line),
    ("noise.txt", 170, lines_of, noise_line),
    ("masks.txt", 83, blocks_of, masks_entry),
    ("variants.txt", 46, blocks_of, variants_entry),
    ("hashes.txt", 200, lines_of, hashes_line),
)


def check_file(folder, name, length, split, compute):
    """Compares all entries of a file with what they must be. Returns how many are equal, and how
    many are not."""
    entries = split(read(folder, name))
    equal = 0
    for number, expected in enumerate(entries):
        try:
            found = compute(expected)
        except Exception as error:  # An entry that cannot be read is one that is not equal.
            found = "%s: %s" % (type(error).__name__, error)
        if found == expected:
            equal += 1
        else:
            report(name, number, expected, found)
    failed = len(entries) - equal
    if len(entries) != length:
        failed += 1
        print("%s: expected %d entries, found %d" % (name, length, len(entries)))
    print("%s: %d entries equal" % (name, equal) + (", %d not" % failed if failed else ""))
    return equal, failed


def report(name, number, expected, found):
    """Prints the lines of an entry that differ."""
    print("%s: entry %d is not equal" % (name, number))
    if name in ("masks.txt", "variants.txt"):
        print("    " + "; ".join(expected.split("\n")[:16]))
    given, computed = expected.split("\n"), found.split("\n")
    for line in given:
        if line not in computed:
            print("    expected " + line)
    for line in computed:
        if line not in given:
            print("    found    " + line)
    if sorted(given) == sorted(computed):
        print("    the lines are in another order")


def main():
    """Checks all files."""
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    read_table(folder)
    counts = [check_file(folder, *file) for file in FILES]
    passed, failed = map(sum, zip(*counts))
    result = "FAILED" if failed else "ok"
    print("test result: %s. %d passed; %d failed" % (result, passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
