// 3x3 convolutions of stride 1 with all weights, by Winograd's minimal filtering (Lavin and Gray, CVPR 2016).
//
// A tile of OUT x OUT outputs comes of SIZE x SIZE inputs, SIZE = OUT + 2. Both are taken as polynomials and multiplied
// by their values at SIZE points (0, pairs +-p, and infinity) in each direction: SIZE * SIZE products for OUT * OUT * 9. The
// values at one point, of all channels and tiles, are matrices, so each point is a matrix product.
//
// Points are +-3/4 and +-3/2, not the usual +-1 and +-2: rounding is half as large, 2.6 times that of a direct
// convolution. Values lie as [point][panel][channel][WIDTH] vectors, a vector for a tile of a block of samples.

#if defined(__AVX512F__) || defined(__aarch64__)
enum { WIDTH = 4 };  // tiles in a panel, of which GROUP rows are computed at once: sums, tiles and a weight fit the registers
#else
enum { WIDTH = 3 };
#endif
enum { GROUP = 4 };

#define UNROLLED _Pragma("GCC unroll 16")
#define ALWAYS_INLINE __attribute__((always_inline))
#define INLINE static inline ALWAYS_INLINE
#define APPLY(TRANSFORM) [](const lanes* from, lanes* to) ALWAYS_INLINE { TRANSFORM(from, to); }

template <int OUT>
struct Filter;

template <>
struct Filter<2> {  // points 0, 1, -1 and infinity
    INLINE void input(const lanes* d, lanes* v) {
        v[0] = d[2] - d[0], v[1] = d[2] + d[1], v[2] = d[2] - d[1], v[3] = d[3] - d[1];
    }
    INLINE void output(const lanes* m, lanes* y) { y[0] = m[0] + m[1] + m[2], y[1] = m[1] - m[2] + m[3]; }
    INLINE void output_gradient(const lanes* y, lanes* m) { m[0] = y[0], m[1] = y[0] + y[1], m[2] = y[0] - y[1], m[3] = y[1]; }
    INLINE void weight(const lanes* g, lanes* u) {
        const lanes even = g[0] + g[2];
        u[0] = -g[0], u[1] = (even + g[1]) * (real)0.5, u[2] = (even - g[1]) * (real)0.5, u[3] = g[2];
    }
    INLINE void weight_gradient(const lanes* u, lanes* g) {
        const lanes even = (u[1] + u[2]) * (real)0.5;
        g[0] = even - u[0], g[1] = (u[1] - u[2]) * (real)0.5, g[2] = even + u[3];
    }
};

template <>
struct Filter<4> {  // points 0, a, -a, b, -b and infinity
    static constexpr real a = 0.75, b = 1.5, aa = a * a, bb = b * b;
    static constexpr real at_0 = 1 / (aa * bb), at_a = 1 / (2 * aa * (aa - bb)), at_b = 1 / (2 * bb * (bb - aa));

    INLINE void input(const lanes* d, lanes* v) {
        const lanes even_a = d[4] - bb * d[2], odd_a = d[3] - bb * d[1], even_b = d[4] - aa * d[2], odd_b = d[3] - aa * d[1];
        v[0] = aa * bb * d[0] + (d[4] - (aa + bb) * d[2]);
        v[1] = even_a + a * odd_a, v[2] = even_a - a * odd_a, v[3] = even_b + b * odd_b, v[4] = even_b - b * odd_b;
        v[5] = aa * bb * d[1] + (d[5] - (aa + bb) * d[3]);
    }
    INLINE void output(const lanes* m, lanes* y) {
        const lanes even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
        y[0] = m[0] + (even_a + even_b), y[1] = a * odd_a + b * odd_b;
        y[2] = aa * even_a + bb * even_b, y[3] = aa * a * odd_a + (bb * b * odd_b + m[5]);
    }
    INLINE void output_gradient(const lanes* y, lanes* m) {
        const lanes even_a = y[0] + aa * y[2], odd_a = y[1] + aa * y[3], even_b = y[0] + bb * y[2], odd_b = y[1] + bb * y[3];
        m[0] = y[0], m[1] = even_a + a * odd_a, m[2] = even_a - a * odd_a;
        m[3] = even_b + b * odd_b, m[4] = even_b - b * odd_b, m[5] = y[3];
    }
    INLINE void weight(const lanes* g, lanes* u) {
        const lanes even_a = at_a * (g[0] + aa * g[2]), odd_a = at_a * a * g[1];
        const lanes even_b = at_b * (g[0] + bb * g[2]), odd_b = at_b * b * g[1];
        u[0] = at_0 * g[0], u[1] = even_a + odd_a, u[2] = even_a - odd_a, u[3] = even_b + odd_b, u[4] = even_b - odd_b, u[5] = g[2];
    }
    INLINE void weight_gradient(const lanes* u, lanes* g) {
        const lanes even_a = at_a * (u[1] + u[2]), even_b = at_b * (u[3] + u[4]);
        g[0] = at_0 * u[0] + even_a + even_b;
        g[1] = at_a * a * (u[1] - u[2]) + at_b * b * (u[3] - u[4]);
        g[2] = aa * even_a + bb * even_b + u[5];
    }
};

// Applies a transform of FROM numbers to TO in both directions; `read(row, from)` fills a row, `write(i, column)` takes one.
template <int FROM, int TO, class Apply, class Read, class Write>
INLINE void in_both_directions(const Apply& apply, const Read& read, const Write& write) {
    lanes rows[FROM][TO];
    UNROLLED for (int r = 0; r < FROM; r++) {
        lanes from[FROM];
        read(r, from);
        apply(from, rows[r]);
    }
    UNROLLED for (int c = 0; c < TO; c++) {
        lanes from[FROM], to[TO];
        UNROLLED for (int r = 0; r < FROM; r++) from[r] = rows[r][c];
        apply(from, to);
        write(c, to);
    }
}

static inline int rounded_up(int count, int multiple) { return (count + multiple - 1) / multiple * multiple; }

// What is computed at a time: values of `tiles` tiles, few enough for the second-level cache where that can be.
template <int OUT>
struct Chunk {
    enum { SIZE = OUT + 2, POINTS = SIZE * SIZE, BYTES = 1 << 19 };
    int across, down, blocks, count, tiles;

    Chunk(int blocks, int height, int width, int channels) : blocks(blocks) {
        down = (height + OUT - 1) / OUT, across = (width + OUT - 1) / OUT, count = blocks * down * across;
        const int most = BYTES / (POINTS * channels * (int)sizeof(lanes)) / WIDTH;
        tiles = WIDTH * smaller(most < 4 ? 4 : most, (count + WIDTH - 1) / WIDTH);
    }
    int panels() const { return tiles / WIDTH; }
    // Of the values at one point; not a power of two, for such addresses displace each other in the first-level cache.
    int64_t stride(int channels) const { return (int64_t)tiles * channels + 2; }
    int block(int tile) const { return tile / (down * across); }
    int top(int tile) const { return tile / across % down * OUT; }
    int left(int tile) const { return tile % across * OUT; }
};

// Weights as [point][group][depth][GROUP] numbers, for rows outputs by depth inputs, or turned, the other way round.
template <int OUT>
static int64_t packed_stride(int rows, int depth) { return (int64_t)rounded_up(rows, GROUP) * rounded_up(depth, LANES); }

template <int OUT>
static void pack_weights(const real* weight, int outputs, int inputs, bool turned, real* packed) {
    typedef Filter<OUT> F;
    const int rows = turned ? inputs : outputs, depth = turned ? outputs : inputs, padded = rounded_up(depth, LANES);
    const int64_t stride = packed_stride<OUT>(rows, depth);
    for (int group = 0; group < rows; group += GROUP)
        for (int first = 0; first < depth * GROUP; first += LANES) {
            lanes taps[9] = {};
            for (int lane = 0; lane < LANES; lane++) {
                const int row = group + (first + lane) % GROUP, k = (first + lane) / GROUP;
                if (row >= rows || k >= depth) continue;
                const real* from = weight + 9 * (turned ? (int64_t)k * inputs + row : (int64_t)row * inputs + k);
                for (int tap = 0; tap < 9; tap++) taps[tap][lane] = from[turned ? 8 - tap : tap];
            }
            lanes* to = (lanes*)(packed + (int64_t)group * padded + first);
            in_both_directions<3, OUT + 2>(
                APPLY(F::weight),
                [&](int r, lanes* from) ALWAYS_INLINE { UNROLLED for (int i = 0; i < 3; i++) from[i] = taps[3 * r + i]; },
                [&](int c, const lanes* u) ALWAYS_INLINE {
                    UNROLLED for (int r = 0; r < OUT + 2; r++) to[(r * (OUT + 2) + c) * stride / LANES] = u[r];
                });
        }
}

// Transforms a tile at a time, of RUN channels at a time. `read(window, channel, count, block, top, left)` packs what
// is transformed, channel by channel; tiles beyond the last are 0.
template <int OUT, int FROM, class Read, class Apply>
static void transform_tiles(const Chunk<OUT> chunk, int first, int channels, int rows, lanes* values, const Read& read, const Apply& apply) {
    typedef Chunk<OUT> K;
    enum { RUN = 16 };
    const int64_t stride = chunk.stride(rows);
    lanes window[RUN * FROM * FROM];
    for (int t = 0; t < chunk.tiles; t++) {
        lanes* const panel = values + (int64_t)(t / WIDTH) * rows * WIDTH + t % WIDTH;
        const int tile = first + t;
        if (tile >= chunk.count) {
            for (int c = 0; c < channels; c++)
                for (int p = 0; p < K::POINTS; p++) panel[p * stride + c * WIDTH] = none();
            continue;
        }
        for (int from = 0; from < channels; from += RUN) {
            const int count = smaller(RUN, channels - from);
            read(window, from, count, chunk.block(tile), chunk.top(tile), chunk.left(tile));
            for (int c = 0; c < count; c++) {
                const lanes* in = window + c * FROM * FROM;
                lanes* to = panel + (from + c) * WIDTH;
                in_both_directions<FROM, K::SIZE>(
                    apply,
                    [&](int r, lanes* row) ALWAYS_INLINE { UNROLLED for (int i = 0; i < FROM; i++) row[i] = in[r * FROM + i]; },
                    [&](int i, const lanes* v) ALWAYS_INLINE {
                        UNROLLED for (int r = 0; r < K::SIZE; r++) to[(r * K::SIZE + i) * stride] = v[r];
                    });
            }
        }
    }
}

// The values of the windows of an activation.
template <int OUT>
static void values_of(const Chunk<OUT>& chunk, int first, const Activation& in, const Geometry& g, lanes* values) {
    transform_tiles<OUT, OUT + 2>(chunk, first, g.inputs, g.inputs, values,
        [&](lanes* window, int from, int count, int block, int top, int left) ALWAYS_INLINE {
            pack<Tile<OUT, OUT, 1, 3>>(window, in, g.inputs, from, count, g.input_height, g.input_width, block, top - g.padding, left - g.padding);
        }, APPLY(Filter<OUT>::input));
}

// The values of the windows of the gradient of z.
template <int OUT>
static void values_of(const Chunk<OUT>& chunk, int first, const OutputGradient& out, const Geometry& g, lanes* values) {
    transform_tiles<OUT, OUT + 2>(chunk, first, g.outputs, g.outputs, values,
        [&](lanes* window, int from, int count, int block, int top, int left) ALWAYS_INLINE {
            pack<Tile<OUT, OUT, 1, 3>>(window, out, g, from, count, block, top + g.padding - 2, left + g.padding - 2);
        }, APPLY(Filter<OUT>::input));
}

// The gradients of the products from that of z; `rows` are its channels and those that fill the last group.
template <int OUT>
static void gradients_of(const Chunk<OUT>& chunk, int first, const OutputGradient& out, const Geometry& g, int rows, lanes* gradients) {
    transform_tiles<OUT, OUT>(chunk, first, g.outputs, rows, gradients,
        [&](lanes* window, int from, int count, int block, int top, int left) ALWAYS_INLINE {
            pack<Tile<OUT, OUT, 1, 1>>(window, out, g, from, count, block, top, left);
        }, APPLY(Filter<OUT>::output_gradient));
}

// The products at one point: GROUP rows of weights by a panel of values.
INLINE void multiply(const real* weights, const lanes* values, int depth, lanes* products) {
    lanes sum[GROUP * WIDTH];
    UNROLLED for (int i = 0; i < GROUP * WIDTH; i++) sum[i] = none();
    for (int k = 0; k < depth; k++, weights += GROUP, values += WIDTH) {
        lanes tiles[WIDTH];
        UNROLLED for (int j = 0; j < WIDTH; j++) tiles[j] = values[j];
        UNROLLED for (int i = 0; i < GROUP; i++) {
            const real weight = weights[i];
            UNROLLED for (int j = 0; j < WIDTH; j++) sum[i * WIDTH + j] += weight * tiles[j];
        }
    }
    UNROLLED for (int i = 0; i < GROUP * WIDTH; i++) products[i] = sum[i];
}

template <int OUT>
static void multiply_all(const Chunk<OUT> chunk, int rows, int depth, const real* weights, const lanes* values, lanes* products) {
    const int padded = rounded_up(rows, GROUP);
    const int64_t group_stride = rounded_up(depth, LANES);
    for (int p = 0; p < Chunk<OUT>::POINTS; p++)
        for (int group = 0; group < padded; group += GROUP) {
            const real* w = weights + p * packed_stride<OUT>(rows, depth) + group * group_stride;
            const lanes* v = values + p * chunk.stride(depth);
            lanes* m = products + p * chunk.stride(padded) + group * WIDTH;
            for (int panel = 0; panel < chunk.panels(); panel++, v += depth * WIDTH, m += padded * WIDTH) multiply(w, v, depth, m);
        }
}

// Calls `write(y, at, rows, columns, channel, block)` with the OUT x OUT outputs of each tile and channel, of which so many
// rows and columns lie in the image, the first at vector `at`.
template <int OUT, class Write>
INLINE void each_output(const Chunk<OUT> chunk, int first, int height, int width, int channels, const lanes* products, const Write& write) {
    typedef Chunk<OUT> K;
    const int padded = rounded_up(channels, GROUP), last = smaller(first + chunk.tiles, chunk.count);
    const int64_t stride = chunk.stride(padded);
    for (int tile = first; tile < last; tile++) {
        const int t = tile - first, block = chunk.block(tile), top = chunk.top(tile), left = chunk.left(tile);
        const lanes* panel = products + (int64_t)(t / WIDTH) * padded * WIDTH + t % WIDTH;
        const int64_t corner = (((int64_t)block * height + top) * width + left) * channels;
        for (int c = 0; c < channels; c++) {
            lanes y[OUT * OUT];
            in_both_directions<K::SIZE, OUT>(
                APPLY(Filter<OUT>::output),
                [&](int r, lanes* from) ALWAYS_INLINE {
                    UNROLLED for (int i = 0; i < K::SIZE; i++) from[i] = panel[(r * K::SIZE + i) * stride + c * WIDTH];
                },
                [&](int i, const lanes* column) ALWAYS_INLINE { UNROLLED for (int r = 0; r < OUT; r++) y[r * OUT + i] = column[r]; });
            write(y, corner + c, smaller(OUT, height - top), smaller(OUT, width - left), c, block);
        }
    }
}

template <int OUT>
static void winograd_forward(const Geometry& g, const Activation& in, const real* weight, const real* bias, real* z, real* reference, double* sums, lanes* scratch) {
    const Chunk<OUT> chunk(g.blocks, g.output_height, g.output_width, g.inputs + g.outputs);
    real* const packed = (real*)scratch;
    lanes* const values = scratch + Chunk<OUT>::POINTS * packed_stride<OUT>(g.outputs, g.inputs) / LANES;
    lanes* const products = values + Chunk<OUT>::POINTS * chunk.stride(g.inputs);
    pack_weights<OUT>(weight, g.outputs, g.inputs, false, packed);
    if (sums) clear(sums, g.outputs);
    const int width = g.output_width, channels = g.outputs, last = g.blocks - 1;
    struct { lanes mask[2]; const lanes& operator[](int i) const { return mask[i]; } } masks = {{lane_mask(LANES), lane_mask(g.last_lanes)}};
    for (int first = 0; first < chunk.count; first += chunk.tiles) {
        values_of<OUT>(chunk, first, in, g, values);
        multiply_all<OUT>(chunk, g.outputs, g.inputs, packed, values, products);
        each_output<OUT>(chunk, first, g.output_height, width, channels, products,
            [=](const lanes* y, int64_t at, int rows, int columns, int c, int block) ALWAYS_INLINE {
                // Sums of squares are taken around one of the values, so that little is lost when they are subtracted.
                const real start = bias ? bias[c] : 0;
                if (sums && at == c) reference[c] = y[0][0] + start;
                const real around = sums ? reference[c] : 0;
                lanes distance = none(), square = none();
                for (int r = 0; r < rows; r++)
                    for (int i = 0; i < columns; i++) {
                        const lanes value = y[r * OUT + i] + start, d = value - around;
                        ((lanes*)z)[at + ((int64_t)r * width + i) * channels] = value;
                        distance += d, square += d * d;
                    }
                const lanes& mask = masks[block == last];
                if (sums) add(sums, c, counted(distance, mask), counted(square, mask));
            });
    }
}

template <int OUT>
static void winograd_input_gradient(const Geometry& g, const OutputGradient& out, const real* weight, const InputGradient in, lanes* scratch) {
    const Chunk<OUT> chunk(g.blocks, g.input_height, g.input_width, g.inputs + g.outputs);
    real* const packed = (real*)scratch;
    lanes* const values = scratch + Chunk<OUT>::POINTS * packed_stride<OUT>(g.inputs, g.outputs) / LANES;
    lanes* const products = values + Chunk<OUT>::POINTS * chunk.stride(g.outputs);
    pack_weights<OUT>(weight, g.outputs, g.inputs, true, packed);
    clear_statistics(in, g.inputs);
    const int width = g.input_width, channels = g.inputs;
    for (int first = 0; first < chunk.count; first += chunk.tiles) {
        values_of<OUT>(chunk, first, out, g, values);
        multiply_all<OUT>(chunk, g.inputs, g.outputs, packed, values, products);
        each_output<OUT>(chunk, first, g.input_height, width, channels, products,
            [=](const lanes* y, int64_t at, int rows, int columns, int c, int) ALWAYS_INLINE {
                lanes sum[3] = {none(), none(), none()}, gradient[OUT * OUT];
                UNROLLED for (int i = 0; i < OUT * OUT; i++) gradient[i] = y[i];
                contribute_tile<OUT, OUT>(in, c, gradient, at, (int64_t)width * channels, channels, rows, columns, sum);
                add_statistics(in, c, sum);
            });
    }
}

// Adds to COLUMNS vectors of GROUP rows of the products' gradients, over all tiles and samples of a chunk.
template <int COLUMNS>
INLINE void add_products(const lanes* gradients, int64_t panel_stride, int panels, const lanes* inputs, real* sums, int64_t row_stride, bool is_first) {
    enum { LENGTH = WIDTH * LANES };
    lanes sum[GROUP * COLUMNS];
    UNROLLED for (int i = 0; i < GROUP * COLUMNS; i++)
        sum[i] = is_first ? none() : ((lanes*)(sums + i / COLUMNS * row_stride))[i % COLUMNS];
    for (int panel = 0; panel < panels; panel++) {
        const real* from = (const real*)(gradients + panel * panel_stride);
        for (int k = 0; k < LENGTH; k++, inputs += COLUMNS) {
            lanes columns[COLUMNS];
            UNROLLED for (int j = 0; j < COLUMNS; j++) columns[j] = inputs[j];
            UNROLLED for (int i = 0; i < GROUP; i++) {
                const real gradient = from[i * LENGTH + k];
                UNROLLED for (int j = 0; j < COLUMNS; j++) sum[i * COLUMNS + j] += gradient * columns[j];
            }
        }
    }
    UNROLLED for (int i = 0; i < GROUP * COLUMNS; i++) ((lanes*)(sums + i / COLUMNS * row_stride))[i % COLUMNS] = sum[i];
}

// The same for all rows; `values` are those of the inputs from the first of these channels on, which are turned first so
// that channels lie in a vector and samples one after another.
template <int COLUMNS>
static void add_columns(const lanes* gradients, int outputs, const lanes* values, int inputs, int left, int panels, lanes* turned, real* sums, int64_t row_stride, bool is_first) {
    for (int panel = 0; panel < panels; panel++)
        for (int t = 0; t < WIDTH; t++)
            for (int column = 0; column < COLUMNS; column++) {
                lanes square[LANES];
                const lanes* from = values + ((int64_t)panel * inputs + column * LANES) * WIDTH + t;
                if (left >= COLUMNS * LANES)
                    UNROLLED for (int i = 0; i < LANES; i++) square[i] = from[i * WIDTH];
                else
                    UNROLLED for (int i = 0; i < LANES; i++) square[i] = column * LANES + i < left ? from[i * WIDTH] : none();
                turn<LANES>(square);
                lanes* to = turned + (panel * WIDTH + t) * LANES * COLUMNS + column;
                UNROLLED for (int i = 0; i < LANES; i++) to[i * COLUMNS] = square[i];
            }
    for (int o = 0; o < outputs; o += GROUP)
        add_products<COLUMNS>(gradients + o * WIDTH, (int64_t)outputs * WIDTH, panels, turned, sums + o * row_stride, row_stride, is_first);
}

template <int OUT>
static void winograd_weight_gradient(const Geometry& g, const Activation& in, const OutputGradient& out, real* weight_gradient, lanes* scratch) {
    typedef Chunk<OUT> K;
    const int outputs = rounded_up(g.outputs, GROUP);
    const K chunk(g.blocks, g.output_height, g.output_width, g.inputs + g.outputs);
    const int64_t row_stride = rounded_up(g.inputs, LANES), point_stride = outputs * row_stride;
    real* const sums = (real*)scratch;
    lanes* const values = scratch + K::POINTS * point_stride / LANES;
    lanes* const gradients = values + K::POINTS * chunk.stride(g.inputs);
    lanes* const turned = gradients + K::POINTS * chunk.stride(outputs);
    for (int first = 0; first < chunk.count; first += chunk.tiles) {
        values_of<OUT>(chunk, first, in, g, values);
        gradients_of<OUT>(chunk, first, out, g, outputs, gradients);
        for (int p = 0; p < K::POINTS; p++)
            for (int c = 0; c < g.inputs;) {
                const int left = g.inputs - c, vectors = (left + LANES - 1) / LANES;
                const lanes* v = values + p * chunk.stride(g.inputs) + c * WIDTH;
                const lanes* d = gradients + p * chunk.stride(outputs);
                real* to = sums + p * point_stride + c;
                const int columns = vectors == 4 ? 2 : smaller(vectors, 3);  // four are two and two, not three and one
                if (columns == 3) add_columns<3>(d, outputs, v, g.inputs, left, chunk.panels(), turned, to, row_stride, !first);
                else if (columns == 2) add_columns<2>(d, outputs, v, g.inputs, left, chunk.panels(), turned, to, row_stride, !first);
                else add_columns<1>(d, outputs, v, g.inputs, left, chunk.panels(), turned, to, row_stride, !first);
                c += columns * LANES;
            }
    }
    for (int o = 0; o < g.outputs; o++)
        for (int c = 0; c < g.inputs; c += LANES) {
            const lanes* from = (const lanes*)(sums + o * row_stride + c);
            in_both_directions<K::SIZE, 3>(
                APPLY(Filter<OUT>::weight_gradient),
                [&](int r, lanes* row) ALWAYS_INLINE {
                    UNROLLED for (int i = 0; i < K::SIZE; i++) row[i] = from[(r * K::SIZE + i) * point_stride / LANES];
                },
                [&](int i, const lanes* taps) ALWAYS_INLINE {
                    for (int r = 0; r < 3; r++)
                        for (int lane = 0; lane < smaller(LANES, g.inputs - c); lane++)
                            weight_gradient[9 * ((int64_t)o * g.inputs + c + lane) + 3 * r + i] = taps[r][lane];
                });
        }
}

// The vectors that any of these needs to compute with.
template <int OUT>
static int64_t winograd_scratch(const Geometry& g) {
    typedef Chunk<OUT> K;
    const int outputs = rounded_up(g.outputs, GROUP), inputs = rounded_up(g.inputs, GROUP), most = outputs + inputs;
    const K forward(g.blocks, g.output_height, g.output_width, g.inputs + g.outputs);
    const K backward(g.blocks, g.input_height, g.input_width, g.inputs + g.outputs);
    const int64_t tiles = forward.tiles > backward.tiles ? forward.tiles : backward.tiles;
    const int64_t weights = (int64_t)rounded_up(outputs, LANES) * rounded_up(inputs, LANES) / LANES;
    return K::POINTS * (weights + tiles * most + 4) + 3 * tiles * LANES;
}
