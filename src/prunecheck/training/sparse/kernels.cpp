// Convolutions that compute with kept weights only, and what stands between them in a network.
//
// Images lie in blocks of as many samples as a vector register holds, [block][row][column][channel][sample]: one
// vector holds a pixel of all samples of a block, and a kept weight multiplies whole vectors. Samples of the last block
// beyond the batch are computed and never counted: they are left out of sums, and their gradients are 0.
//
// An activation is never written. It is its convolution's output z together with what batch norm and ReLU make
// of it, relu(scale * z + shift), and is computed anew wherever a window of it is read; so is the gradient of z.

#include <stdint.h>

#ifndef REAL
#define REAL float
#endif

typedef REAL real;

// What a register holds, and how many positions a tile has: as many sums as there are registers for.
#if defined(__AVX512F__)
enum { VECTOR = 64, TILE_HEIGHT = 4, TILE_WIDTH = 4 };
#elif defined(__AVX__)
enum { VECTOR = 32, TILE_HEIGHT = 2, TILE_WIDTH = 4 };
#elif defined(__aarch64__)
enum { VECTOR = 16, TILE_HEIGHT = 4, TILE_WIDTH = 4 };
#else
enum { VECTOR = 16, TILE_HEIGHT = 2, TILE_WIDTH = 4 };
#endif
enum { LANES = VECTOR / sizeof(real) };

typedef real lanes __attribute__((vector_size(VECTOR), may_alias));
typedef real half __attribute__((vector_size(VECTOR / 2), may_alias));
typedef double doubles __attribute__((vector_size(LANES / 2 * sizeof(double)), may_alias));

// Everything that Python passes; kernels.py mirrors the fields.

struct Geometry {
    int32_t blocks, last_lanes;  // blocks of LANES samples, and the samples in the last of them
    int32_t inputs, input_height, input_width;
    int32_t outputs, output_height, output_width;
    int32_t kernel, stride, padding;
};

struct Shape {
    int32_t blocks, last_lanes, positions, channels;
};

struct Activation {  // relu(scale[channel] * z + shift[channel]); without scale, z, which relu then leaves as it is
    const real* z;
    const real* scale;
    const real* shift;
    int32_t relu;
};

struct OutputGradient {  // of z: by_gradient[c] * gradient + by_output[c] * z + constant[c]; without them, gradient
    const real* gradient;
    const real* z;
    const real* by_gradient;
    const real* by_output;
    const real* constant;
};

struct Weights {  // row by row: of output channels, or transposed, of input channels in each phase of the stride
    const int32_t* start;   // [rows + 1]
    const int32_t* offset;  // into a window, in numbers
    const real* value;
};

struct Statistic {  // sums over samples and positions of the gradient and of gradient * (z - mean)
    const real* z;
    const real* mean;
    double* sums;  // [channel][2][LANES]
};

struct InputGradient {
    real* gradient;
    int32_t accumulate;     // add to what is there
    int32_t finish;         // the last contribution: apply the ReLU of `activation`, take the statistics
    Activation activation;  // what the gradient is of
    int32_t statistics;
    Statistic statistic[2];
};

struct Normalisation {  // per channel
    int32_t channels;
    double count;  // samples times positions
    double epsilon, momentum;
    const real *gamma, *beta;
    real *running_mean, *running_variance;
    real *mean, *inverse_deviation, *scale, *shift;
    real *by_gradient, *by_output, *constant, *gamma_gradient, *beta_gradient;
};

static inline lanes none() { return lanes{}; }

static inline lanes lane_mask(int count) {
    lanes mask = {};
    for (int lane = 0; lane < LANES; lane++) mask[lane] = lane < count;
    return mask;
}

static inline lanes mask_of_block(int block, int blocks, int last_lanes) {
    return lane_mask(block == blocks - 1 ? last_lanes : LANES);
}

// Not a product, for where no sample is there may be numbers whose squares are not finite.
static inline lanes counted(lanes x, const lanes& mask) { return mask > 0 ? x : none(); }

// As torch's relu, these leave what is not a number as it is, so that a diverged training shows.
static inline lanes positive(lanes x) { return x <= 0 ? none() : x; }

static inline lanes of(const Activation& a, lanes z, int channel) {
    if (!a.scale) return z;
    const lanes x = z * a.scale[channel] + a.shift[channel];
    return a.relu ? positive(x) : x;
}

static inline lanes of(const OutputGradient& out, int64_t at, int channel, const lanes& mask) {
    const lanes gradient = ((const lanes*)out.gradient)[at];
    if (!out.by_gradient) return gradient;
    return counted(gradient * out.by_gradient[channel] + ((const lanes*)out.z)[at] * out.by_output[channel] + out.constant[channel], mask);
}

static inline void add(double* sums, lanes x) {
    half halves[2];
    __builtin_memcpy(halves, &x, sizeof x);
    ((doubles*)sums)[0] += __builtin_convertvector(halves[0], doubles);
    ((doubles*)sums)[1] += __builtin_convertvector(halves[1], doubles);
}

static inline void add(double* sums, int channel, lanes first, lanes second) {
    add(sums + 2 * channel * LANES, first);
    add(sums + (2 * channel + 1) * LANES, second);
}

static inline double total(const double* sums) {
    double sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum;
}

static inline real total(lanes x) {
    real part[LANES];
    for (int lane = 0; lane < LANES; lane++) part[lane] = x[lane];
    for (int width = LANES / 2; width; width /= 2)
        for (int lane = 0; lane < width; lane++) part[lane] += part[lane + width];
    return part[0];
}

static void clear(double* sums, int channels) {
    for (int i = 0; i < channels * 2 * LANES; i++) sums[i] = 0;
}

static inline int smaller(int a, int b) { return a < b ? a : b; }

// HEIGHT x WIDTH positions are computed from a window of ROWS x PITCH vectors of every channel. Those of a window lie SPACING
// positions apart in the image: where the kernel has one tap, what lies between the strides is read by nobody.
template <int HEIGHT_, int WIDTH_, int STRIDE_, int KERNEL_>
struct Tile {
    enum {
        HEIGHT = HEIGHT_, WIDTH = WIDTH_, STRIDE = STRIDE_, KERNEL = KERNEL_, SIZE = HEIGHT * WIDTH,
        SPACING = KERNEL == 1 ? STRIDE : 1,
        ROWS = (HEIGHT - 1) * STRIDE / SPACING + KERNEL,
        PITCH = (WIDTH - 1) * STRIDE / SPACING + KERNEL,
        AREA = ROWS * PITCH,
    };
    static inline __attribute__((always_inline)) int row(int i) { return i / WIDTH; }
    static inline __attribute__((always_inline)) int column(int i) { return i % WIDTH; }
    static inline __attribute__((always_inline)) int in_window(int i) { return (row(i) * PITCH + column(i)) * (STRIDE / SPACING); }
};

#define EACH_POSITION _Pragma("GCC unroll 16") for (int i = 0; i < T::SIZE; i++)

// A window of some channels of an activation, channel by channel; outside of the image it is 0.
template <class T>
static void pack(lanes* window, const Activation& in, int channels, int first, int count, int height, int width, int block, int top, int left) {
    const lanes* image = (const lanes*)in.z + (int64_t)block * height * width * channels + first;
    // Copies, for what is written might lie where `in` does.
    const real *scale = in.scale ? in.scale + first : 0, *shift = in.scale ? in.shift + first : 0;
    const bool relu = in.relu;
    for (int row = 0; row < T::ROWS; row++)
        for (int column = 0; column < T::PITCH; column++) {
            lanes* to = window + row * T::PITCH + column;
            const int y = top + row * T::SPACING, x = left + column * T::SPACING;
            const lanes* from = image + ((int64_t)y * width + x) * channels;
            if (y < 0 || y >= height || x < 0 || x >= width)
                for (int c = 0; c < count; c++) to[c * T::AREA] = none();
            else if (!scale)
                for (int c = 0; c < count; c++) to[c * T::AREA] = from[c];
            else if (relu)
                for (int c = 0; c < count; c++) to[c * T::AREA] = positive(from[c] * scale[c] + shift[c]);
            else
                for (int c = 0; c < count; c++) to[c * T::AREA] = from[c] * scale[c] + shift[c];
        }
}

// A window of some channels of the gradient of z, channel by channel; outside of the image it is 0.
template <class T>
static void pack(lanes* window, const OutputGradient& out, const Geometry& g, int first, int count, int block, int top, int left) {
    const lanes mask = mask_of_block(block, g.blocks, g.last_lanes);
    const int height = g.output_height, width = g.output_width, channels = g.outputs;
    const int64_t image = (int64_t)block * height * width * channels + first;
    const OutputGradient in = {out.gradient, out.z, out.by_gradient ? out.by_gradient + first : 0, out.by_output + first, out.constant + first};
    for (int row = 0; row < T::ROWS; row++)
        for (int column = 0; column < T::PITCH; column++) {
            lanes* to = window + row * T::PITCH + column;
            const int y = top + row, x = left + column;
            const int64_t from = image + ((int64_t)y * width + x) * channels;
            if (y < 0 || y >= height || x < 0 || x >= width)
                for (int c = 0; c < count; c++) to[c * T::AREA] = none();
            else
                for (int c = 0; c < count; c++) to[c * T::AREA] = of(in, from + c, c, mask);
        }
}

// The convolution of a window, at all positions of the tile, for one row of weights.
template <class T>
static inline __attribute__((always_inline)) void convolve(lanes* sum, const lanes* window, const Weights& w, int row) {
    for (int k = w.start[row]; k < w.start[row + 1]; k++) {
        const lanes* at = (const lanes*)((const real*)window + w.offset[k]);
        const real value = w.value[k];
        EACH_POSITION sum[i] += value * at[T::in_window(i)];
    }
}

template <class T>
static void convolve_forward(const Geometry& g, const Activation& in, const Weights& w, const real* bias, real* z, real* reference, double* sums, lanes* window) {
    if (sums) clear(sums, g.outputs);
    for (int block = 0; block < g.blocks; block++) {
        const lanes mask = mask_of_block(block, g.blocks, g.last_lanes);
        for (int top = 0; top < g.output_height; top += T::HEIGHT)
            for (int left = 0; left < g.output_width; left += T::WIDTH) {
                pack<T>(window, in, g.inputs, 0, g.inputs, g.input_height, g.input_width, block, top * T::STRIDE - g.padding, left * T::STRIDE - g.padding);
                const int rows = smaller(T::HEIGHT, g.output_height - top), columns = smaller(T::WIDTH, g.output_width - left);
                const bool first = sums && block == 0 && top == 0 && left == 0;
                for (int o = 0; o < g.outputs; o++) {
                    const lanes start = none() + (bias ? bias[o] : 0);
                    lanes sum[T::SIZE];
                    EACH_POSITION sum[i] = start;
                    convolve<T>(sum, window, w, o);
                    // Sums of squares are taken around one of the values, so that little is lost when they are subtracted.
                    if (first) reference[o] = sum[0][0];
                    const real around = sums ? reference[o] : 0;
                    lanes distance = none(), square = none();
                    lanes* to = (lanes*)z + (((int64_t)block * g.output_height + top) * g.output_width + left) * g.outputs + o;
                    EACH_POSITION if (T::row(i) < rows && T::column(i) < columns) {
                        to[(T::row(i) * g.output_width + T::column(i)) * g.outputs] = sum[i];
                        const lanes d = sum[i] - around;
                        distance += d;
                        square += d * d;
                    }
                    if (sums) add(sums, o, counted(distance, mask), counted(square, mask));
                }
            }
    }
}

// What a contribution to the gradient of an activation makes of the numbers of one channel at a tile's positions, those where
// `is_there(i)`. Number i is of vector `first + i / WIDTH * row + i % WIDTH * column`.
template <int HEIGHT, int WIDTH, class IsThere>
static inline __attribute__((always_inline)) void contribute(const InputGradient& in, int channel, lanes* gradient, int64_t first, int64_t row, int64_t column, const IsThere& is_there, lanes* sum) {
#define EACH _Pragma("GCC unroll 16") for (int i = 0; i < HEIGHT * WIDTH; i++) if (is_there(i))
#define AT first + i / WIDTH * row + i % WIDTH * column
    if (in.accumulate) EACH gradient[i] += ((const lanes*)in.gradient)[AT];
    if (in.finish) {
        const lanes* const z = (const lanes*)in.activation.z;
        if (in.activation.relu) {
            if (in.activation.scale) {
                const real scale = in.activation.scale[channel], shift = in.activation.shift[channel];
                EACH gradient[i] = positive(z[AT] * scale + shift) <= 0 ? none() : gradient[i];
            } else
                EACH gradient[i] = z[AT] <= 0 ? none() : gradient[i];
        }
        EACH sum[0] += gradient[i];
        for (int s = 0; s < in.statistics; s++) {
            const lanes* const from = (const lanes*)in.statistic[s].z;
            const real mean = in.statistic[s].mean[channel];
            EACH sum[1 + s] += gradient[i] * (from[AT] - mean);
        }
    }
    EACH ((lanes*)in.gradient)[AT] = gradient[i];
#undef AT
#undef EACH
}

// The same of a tile of which so many rows and columns lie in the image.
template <int HEIGHT, int WIDTH>
static inline __attribute__((always_inline)) void contribute_tile(const InputGradient& in, int channel, lanes* gradient, int64_t first, int64_t row, int64_t column, int rows, int columns, lanes* sum) {
    if (rows >= HEIGHT && columns >= WIDTH)
        contribute<HEIGHT, WIDTH>(in, channel, gradient, first, row, column, [](int) { return true; }, sum);
    else
        contribute<HEIGHT, WIDTH>(in, channel, gradient, first, row, column, [=](int i) { return i / WIDTH < rows && i % WIDTH < columns; }, sum);
}

static inline __attribute__((always_inline)) void contribute(const InputGradient& in, int64_t at, int channel, lanes gradient, lanes* sum) {
    contribute<1, 1>(in, channel, &gradient, at, 0, 0, [](int) { return true; }, sum);
}

static inline void add_statistics(const InputGradient& in, int channel, const lanes* sum) {
    if (in.finish)
        for (int s = 0; s < in.statistics; s++) add(in.statistic[s].sums, channel, sum[0], sum[1 + s]);
}

static void clear_statistics(const InputGradient& in, int channels) {
    if (in.finish)
        for (int s = 0; s < in.statistics; s++) clear(in.statistic[s].sums, channels);
}

// Adds a tile's part to the gradient of each weight; `inner` is the gradient of z, at pitch `pitch`.
template <class T>
static void weight_gradient(lanes* gradient, const Geometry& g, const Weights w, const lanes* window, const lanes* inner, int pitch, int area) {
    const int outputs = g.outputs;
    for (int o = 0, k = 0; o < outputs; o++) {
        const int end = w.start[o + 1];
        if (k == end) continue;
        lanes out[T::SIZE];
        EACH_POSITION out[i] = inner[o * area + T::row(i) * pitch + T::column(i)];
        for (; k < end; k++) {
            const lanes* at = (const lanes*)((const real*)window + w.offset[k]);
            lanes even = gradient[k], odd = out[1] * at[T::in_window(1)];
#pragma GCC unroll 16
            for (int i = 0; i < T::SIZE; i += 2) {
                even += out[i] * at[T::in_window(i)];
                if (i) odd += out[i + 1] * at[T::in_window(i + 1)];
            }
            gradient[k] = even + odd;
        }
    }
}

// The gradients of the weights; T slides over the output with the convolution's stride.
template <class T>
static void weight_gradients(lanes* sums, const Geometry& g, const Activation& activation, const OutputGradient& out, const Weights& w, lanes* window, lanes* gradients) {
    typedef Tile<T::HEIGHT, T::WIDTH, 1, 1> Inner;
    for (int block = 0; block < g.blocks; block++)
        for (int top = 0; top < g.output_height; top += T::HEIGHT)
            for (int left = 0; left < g.output_width; left += T::WIDTH) {
                pack<T>(window, activation, g.inputs, 0, g.inputs, g.input_height, g.input_width, block, top * T::STRIDE - g.padding, left * T::STRIDE - g.padding);
                pack<Inner>(gradients, out, g, 0, g.outputs, block, top, left);
                weight_gradient<T>(sums, g, w, window, gradients, Inner::PITCH, Inner::AREA);
            }
}

// The gradient of the input; U slides over the output with stride 1. Input positions that lie equally between those
// of a stride read the same taps, and are done together: `w` has rows for each of these phases, of all input channels.
// Each window of gradients is shown to `see`.
template <class U, class See>
static void input_gradient(const Geometry g, const OutputGradient out, const Weights w, const InputGradient in, lanes* gradients, const See& see) {
    const int stride = g.stride, before = (g.kernel - 1 - g.padding + stride - 1) / stride;
    clear_statistics(in, g.inputs);
    for (int block = 0; block < g.blocks; block++)
        for (int top = 0; top * stride < g.input_height; top += U::HEIGHT)
            for (int left = 0; left * stride < g.input_width; left += U::WIDTH) {
                pack<U>(gradients, out, g, 0, g.outputs, block, top - before, left - before);
                see(block, top, left);
                for (int phase = 0; phase < stride * stride; phase++) {
                    const int y = top * stride + phase / stride, x = left * stride + phase % stride;
                    const int rows = (g.input_height - y + stride - 1) / stride, columns = (g.input_width - x + stride - 1) / stride;
                    for (int c = 0; c < g.inputs; c++) {
                        lanes sum[U::SIZE], statistics[3] = {none(), none(), none()};
#pragma GCC unroll 16
                        for (int i = 0; i < U::SIZE; i++) sum[i] = none();
                        convolve<U>(sum, gradients, w, phase * g.inputs + c);
                        const int64_t first = (((int64_t)block * g.input_height + y) * g.input_width + x) * g.inputs + c, column = (int64_t)stride * g.inputs;
                        contribute_tile<U::HEIGHT, U::WIDTH>(in, c, sum, first, column * g.input_width, column, rows, columns, statistics);
                        add_statistics(in, c, statistics);
                    }
                }
            }
}

template <class T, class U>
static void convolve_backward(const Geometry& g, const Activation& activation, const OutputGradient& out, const Weights& w, real* value_gradient, const Weights* transposed, const InputGradient* in, lanes* scratch) {
    const int spread = g.kernel - 1 - g.padding, kept = w.start[g.outputs];
    lanes *sums = scratch, *window = sums + kept, *gradients = window + (int64_t)T::AREA * g.inputs;
    for (int k = 0; k < kept; k++) sums[k] = none();
    // Where input and output are of one size, a tile's window of gradients serves both purposes.
    const bool together = T::STRIDE == 1 && transposed && g.input_height == g.output_height && g.input_width == g.output_width;
    if (!together) weight_gradients<T>(sums, g, activation, out, w, window, gradients);
    if (transposed)
        input_gradient<U>(g, out, *transposed, *in, gradients, [&](int block, int top, int left) {
            if (!together) return;
            pack<T>(window, activation, g.inputs, 0, g.inputs, g.input_height, g.input_width, block, top - g.padding, left - g.padding);
            weight_gradient<T>(sums, g, w, window, gradients + spread * (U::PITCH + 1), U::PITCH, U::AREA);
        });
    for (int k = 0; k < kept; k++) value_gradient[k] = total(sums[k]);
}

// Calls `run` with the tile for this convolution; false if there is none.
template <class Run>
static bool with_tile(const Geometry& g, const Run& run) {
    const bool small = g.output_height <= 2 && g.output_width <= 2;
#define CASE(HEIGHT, WIDTH, STRIDE, KERNEL)                                           \
    if (g.stride == STRIDE && g.kernel == KERNEL) {                                   \
        run(Tile<HEIGHT, WIDTH, STRIDE, KERNEL>(), Tile<HEIGHT, WIDTH, 1, KERNEL>()); \
        return true;                                                                  \
    }
#define CASES(HEIGHT, WIDTH)                                                      \
    CASE(HEIGHT, WIDTH, 1, 1) CASE(HEIGHT, WIDTH, 1, 3) CASE(HEIGHT, WIDTH, 1, 5) \
    CASE(HEIGHT, WIDTH, 2, 1) CASE(HEIGHT, WIDTH, 2, 3) CASE(HEIGHT, WIDTH, 2, 5)
    if (small) { CASES(2, 2) } else { CASES(TILE_HEIGHT, TILE_WIDTH) }
#undef CASES
#undef CASE
    return false;
}

// Calls `run` for each channel of a few positions at a time, so that sums can be kept in registers.
template <class Run>
static void each_run(const Shape& s, const Run& run) {
    enum { LENGTH = 16 };
    for (int block = 0; block < s.blocks; block++)
        for (int position = 0; position < s.positions; position += LENGTH)
            for (int c = 0; c < s.channels; c++)
                run(((int64_t)block * s.positions + position) * s.channels + c, smaller(LENGTH, s.positions - position), c, block);
}

// Turns a square of numbers: lane j of vector i becomes lane i of vector j.
template <int SIDE, class Vector>
static inline void turn(Vector* square) {
#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
#define LIST(...) __VA_ARGS__
#define SWAP(STEP, FIRST, SECOND)                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < SIDE; i++)                                 \
        if (!(i & STEP)) {                                         \
            const Vector a = square[i], b = square[i + STEP];      \
            square[i] = __builtin_shufflevector(a, b, FIRST);      \
            square[i + STEP] = __builtin_shufflevector(a, b, SECOND); \
        }
    if constexpr (SIDE == 16) {
        SWAP(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
        SWAP(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
        SWAP(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
        SWAP(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
        return;
    } else if constexpr (SIDE == 8) {
        SWAP(4, LIST(0, 1, 2, 3, 8, 9, 10, 11), LIST(4, 5, 6, 7, 12, 13, 14, 15))
        SWAP(2, LIST(0, 1, 8, 9, 4, 5, 12, 13), LIST(2, 3, 10, 11, 6, 7, 14, 15))
        SWAP(1, LIST(0, 8, 2, 10, 4, 12, 6, 14), LIST(1, 9, 3, 11, 5, 13, 7, 15))
        return;
    }
#undef SWAP
#undef LIST
#endif
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < i; j++) {
            const auto number = square[i][j];
            square[i][j] = square[j][i];
            square[j][i] = number;
        }
}

template <class Value>
static void to_images(const Shape& s, real* images, const Value& value) {
    const int64_t image = (int64_t)s.positions * s.channels;
    for (int block = 0; block < s.blocks; block++) {
        const int lanes_here = block == s.blocks - 1 ? s.last_lanes : LANES;
        const lanes mask = lane_mask(lanes_here);
        int channel = 0;
        for (int64_t first = 0; first < image; first += LANES) {
            const int count = image - first < LANES ? image - first : LANES;
            lanes square[LANES];
            for (int i = 0; i < count; i++) {
                square[i] = value(block * image + first + i, channel, mask);
                channel = channel + 1 == s.channels ? 0 : channel + 1;
            }
            turn<LANES>(square);
            real* to = images + (int64_t)block * LANES * image + first;
            for (int lane = 0; lane < lanes_here; lane++)
                if (count == LANES) __builtin_memcpy(to + lane * image, square + lane, sizeof(lanes));
                else __builtin_memcpy(to + lane * image, square + lane, count * sizeof(real));
        }
    }
}

#include "winograd.h"

// Where the value number i of a pooling window lies.
static inline int64_t in_pool(const Geometry& g, int block, int y, int x, int i) {
    return (((int64_t)block * g.input_height + y * g.kernel + i / g.kernel) * g.input_width + x * g.kernel + i % g.kernel) * g.inputs;
}

extern "C" {

// Samples in a block.
int32_t samples_in_block() { return LANES; }

// Writes the rows and columns of the windows of an activation and of a gradient; 0 if the convolution has no kernel.
int32_t window_sizes(const Geometry* g, int32_t* activation, int32_t* gradient) {
    return with_tile(*g, [&](auto t, auto u) {
        typedef decltype(t) T;
        typedef decltype(u) U;
        activation[0] = T::ROWS, activation[1] = T::PITCH, gradient[0] = U::ROWS, gradient[1] = U::PITCH;
    });
}

// Calls of kernels one after the other; kernels.py fills these in.
struct Instruction {
    // Every kernel takes pointers and integers, at most as many as are passed in registers, whatever their widths.
    void (*kernel)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
    int64_t arguments[8];
};

void call_all(const Instruction* instructions, int32_t count) {
    for (int i = 0; i < count; i++) {
        const int64_t* a = instructions[i].arguments;
        instructions[i].kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    }
}

void convolution_forward(const Geometry* g, const Activation* in, const Weights* w, const real* bias, real* z, real* reference, double* sums, void* scratch) {
    with_tile(*g, [&](auto t, auto) {
        convolve_forward<decltype(t)>(*g, *in, *w, bias, z, reference, sums, (lanes*)scratch);
    });
}

void convolution_backward(const Geometry* g, const Activation* activation, const OutputGradient* out, const Weights* w, real* value_gradient, const Weights* transposed, const InputGradient* in, void* scratch) {
    with_tile(*g, [&](auto t, auto u) {
        convolve_backward<decltype(t), decltype(u)>(*g, *activation, *out, *w, value_gradient, transposed, in, (lanes*)scratch);
    });
}

// Outputs of a tile in each direction: as few as do for the smallest images, for larger tiles are computed in vain there.
static int winograd_tile(const Geometry& g) { return g.output_height <= 2 && g.output_width <= 2 ? 2 : 4; }

int64_t winograd_scratch(const Geometry* g) { return winograd_tile(*g) == 2 ? winograd_scratch<2>(*g) : winograd_scratch<4>(*g); }

void winograd_forward(const Geometry* g, const Activation* in, const real* weight, const real* bias, real* z, real* reference, double* sums, void* scratch) {
    (winograd_tile(*g) == 2 ? winograd_forward<2> : winograd_forward<4>)(*g, *in, weight, bias, z, reference, sums, (lanes*)scratch);
}

void winograd_backward(const Geometry* g, const Activation* activation, const OutputGradient* out, const real* weight, real* weight_gradient, const InputGradient* in, void* scratch) {
    const bool small = winograd_tile(*g) == 2;
    (small ? winograd_weight_gradient<2> : winograd_weight_gradient<4>)(*g, *activation, *out, weight_gradient, (lanes*)scratch);
    if (in) (small ? winograd_input_gradient<2> : winograd_input_gradient<4>)(*g, *out, weight, *in, (lanes*)scratch);
}

// Brings numbers in another order.
void reorder(int32_t count, const int32_t* order, const real* from, real* to) {
    for (int i = 0; i < count; i++) to[i] = from[order[i]];
}

// Takes over the sums that a convolution left: the mean, deviation, what is made of z, and the running statistics.
void normalise_forward(const Normalisation* n, const real* reference, const double* sums) {
    for (int c = 0; c < n->channels; c++) {
        const double distance = total(sums + c * 2 * LANES) / n->count, square = total(sums + (c * 2 + 1) * LANES) / n->count;
        const double difference = square - distance * distance, variance = difference < 0 ? 0 : difference, mean = reference[c] + distance;
        const double inverse = 1 / __builtin_sqrt(variance + n->epsilon);
        n->mean[c] = mean;
        n->inverse_deviation[c] = inverse;
        n->scale[c] = n->gamma[c] * inverse;
        n->shift[c] = n->beta[c] - mean * n->gamma[c] * inverse;
        n->running_mean[c] += n->momentum * (mean - n->running_mean[c]);
        n->running_variance[c] += n->momentum * (variance * n->count / (n->count - 1) - n->running_variance[c]);
    }
}

void normalise_evaluated(const Normalisation* n) {
    for (int c = 0; c < n->channels; c++) {
        const double scale = n->gamma[c] / __builtin_sqrt(n->running_variance[c] + n->epsilon);
        n->scale[c] = scale;
        n->shift[c] = n->beta[c] - n->running_mean[c] * scale;
    }
}

// Takes over the sums of a gradient: what the gradient of z is made of, and the gradients of gamma and beta.
void normalise_backward(const Normalisation* n, const double* sums) {
    for (int c = 0; c < n->channels; c++) {
        const double gradient = total(sums + c * 2 * LANES), product = total(sums + (c * 2 + 1) * LANES);
        const double inverse = n->inverse_deviation[c], by_gradient = n->gamma[c] * inverse;
        const double by_output = -by_gradient * inverse * inverse * product / n->count;
        n->gamma_gradient[c] = product * inverse;
        n->beta_gradient[c] = gradient;
        n->by_gradient[c] = by_gradient;
        n->by_output[c] = by_output;
        n->constant[c] = -by_gradient * gradient / n->count - by_output * n->mean[c];
    }
}

// The gradient of a bias from the sums of the gradient of z.
void bias_gradient(int32_t channels, const double* sums, real* gradient) {
    for (int c = 0; c < channels; c++) gradient[c] = total(sums + c * 2 * LANES);
}

// relu(a + b), or relu(a) where b has no z.
void join_forward(const Shape* s, const Activation* a, const Activation* b, int32_t relu, real* sum) {
    const int64_t count = (int64_t)s->blocks * s->positions;
    for (int64_t position = 0; position < count; position++)
        for (int c = 0; c < s->channels; c++) {
            const int64_t at = position * s->channels + c;
            lanes x = of(*a, ((const lanes*)a->z)[at], c);
            if (b->z) x += of(*b, ((const lanes*)b->z)[at], c);
            ((lanes*)sum)[at] = relu ? positive(x) : x;
        }
}

// Adds `from`, which is of the same shape, to a gradient.
void join_backward(const Shape* s, const real* from, const InputGradient* in) {
    clear_statistics(*in, s->channels);
    each_run(*s, [&](int64_t first, int count, int channel, int) {
        lanes sum[3] = {none(), none(), none()};
        for (int64_t at = first; at < first + (int64_t)count * s->channels; at += s->channels)
            contribute(*in, at, channel, ((const lanes*)from)[at], sum);
        add_statistics(*in, channel, sum);
    });
}

// The largest of each size x size window, the windows side by side.
void pool_forward(const Geometry* g, const Activation* in, real* out) {
    for (int block = 0; block < g->blocks; block++)
        for (int y = 0; y < g->output_height; y++)
            for (int x = 0; x < g->output_width; x++) {
                lanes* to = (lanes*)out + (((int64_t)block * g->output_height + y) * g->output_width + x) * g->inputs;
                for (int i = 0; i < g->kernel * g->kernel; i++)
                    for (int c = 0; c < g->inputs; c++) {
                        const lanes value = of(*in, ((const lanes*)in->z)[in_pool(*g, block, y, x, i) + c], c);
                        to[c] = i ? ((value <= to[c]) | (to[c] != to[c]) ? to[c] : value) : value;
                    }
            }
}

// The gradient goes to the first of a window's values that is largest.
void pool_backward(const Geometry* g, const real* from, const InputGradient* in) {
    clear_statistics(*in, g->inputs);
    for (int block = 0; block < g->blocks; block++)
        for (int y = 0; y * g->kernel < g->input_height; y++)
            for (int x = 0; x * g->kernel < g->input_width; x++) {
                const bool pooled = y < g->output_height && x < g->output_width;
                const lanes* gradient = (const lanes*)from + (((int64_t)block * g->output_height + y) * g->output_width + x) * g->inputs;
                for (int c = 0; c < g->inputs; c++) {
                    lanes largest = none(), sum[3] = {none(), none(), none()}, place = none();
                    for (int i = 0; i < g->kernel * g->kernel && pooled; i++) {
                        const lanes value = of(in->activation, ((const lanes*)in->activation.z)[in_pool(*g, block, y, x, i) + c], c);
                        if (!i) largest = value;
                        place = value <= largest ? place : none() + (real)i;
                        largest = value <= largest ? largest : value;
                    }
                    for (int i = 0; i < g->kernel * g->kernel; i++) {
                        if (y * g->kernel + i / g->kernel >= g->input_height || x * g->kernel + i % g->kernel >= g->input_width) continue;
                        const lanes contribution = pooled ? (place == none() + (real)i ? gradient[c] : none()) : none();
                        contribute(*in, in_pool(*g, block, y, x, i) + c, c, contribution, sum);
                    }
                    add_statistics(*in, c, sum);
                }
            }
}

// The mean over positions, features[sample][channel].
void mean_forward(const Shape* s, const Activation* in, real* features) {
    for (int block = 0; block < s->blocks; block++)
        for (int c = 0; c < s->channels; c++) {
            lanes sum = none();
            for (int position = 0; position < s->positions; position++)
                sum += of(*in, ((const lanes*)in->z)[((int64_t)block * s->positions + position) * s->channels + c], c);
            sum /= (real)s->positions;
            for (int lane = 0; lane < (block == s->blocks - 1 ? s->last_lanes : LANES); lane++)
                features[((int64_t)block * LANES + lane) * s->channels + c] = sum[lane];
        }
}

void mean_backward(const Shape* s, const real* features, const InputGradient* in) {
    clear_statistics(*in, s->channels);
    each_run(*s, [&](int64_t first, int count, int channel, int block) {
        lanes gradient = none(), sum[3] = {none(), none(), none()};
        for (int lane = 0; lane < (block == s->blocks - 1 ? s->last_lanes : LANES); lane++)
            gradient[lane] = features[((int64_t)block * LANES + lane) * s->channels + channel] / s->positions;
        for (int64_t at = first; at < first + (int64_t)count * s->channels; at += s->channels)
            contribute(*in, at, channel, gradient, sum);
        add_statistics(*in, channel, sum);
    });
}

// Between blocks of samples and images one after another, image[sample][row][column][channel].

void activation_to_images(const Shape* s, const Activation* in, real* images) {
    to_images(*s, images, [&](int64_t at, int c, const lanes&) { return of(*in, ((const lanes*)in->z)[at], c); });
}

void gradient_to_images(const Shape* s, const OutputGradient* out, real* images) {
    to_images(*s, images, [&](int64_t at, int c, const lanes& mask) { return of(*out, at, c, mask); });
}

void images_to_blocks(const Shape* s, const real* images, real* blocks) {
    const int64_t image = (int64_t)s->positions * s->channels;
    for (int block = 0; block < s->blocks; block++) {
        const int lanes_here = block == s->blocks - 1 ? s->last_lanes : LANES;
        for (int64_t first = 0; first < image; first += LANES) {
            const int count = image - first < LANES ? image - first : LANES;
            const real* from = images + (int64_t)block * LANES * image + first;
            lanes square[LANES] = {};
            for (int lane = 0; lane < lanes_here; lane++)
                if (count == LANES) __builtin_memcpy(square + lane, from + lane * image, sizeof(lanes));
                else __builtin_memcpy(square + lane, from + lane * image, count * sizeof(real));
            turn<LANES>(square);
            for (int i = 0; i < count; i++) ((lanes*)blocks)[block * image + first + i] = square[i];
        }
    }
}

// The sums that batch norm needs of z, as a convolution leaves them.
void normalisation_sums(const Shape* s, const real* z, real* reference, double* sums) {
    clear(sums, s->channels);
    for (int c = 0; c < s->channels; c++) reference[c] = z[c * LANES];
    each_run(*s, [&](int64_t first, int count, int channel, int block) {
        lanes distance = none(), square = none();
        for (int64_t at = first; at < first + (int64_t)count * s->channels; at += s->channels) {
            const lanes d = ((const lanes*)z)[at] - reference[channel];
            distance += d;
            square += d * d;
        }
        const lanes mask = mask_of_block(block, s->blocks, s->last_lanes);
        add(sums, channel, counted(distance, mask), counted(square, mask));
    });
}

}
