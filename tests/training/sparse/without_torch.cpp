// The compiled convolutions against loops in double, for processors that have neither Python nor torch at hand.
//
// Compiled with the kernels' folder among those of includes. Says of each case the largest difference, as a share of the
// largest value, and ends with 1 if one is more than rounding.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <initializer_list>

#include "kernels.cpp"

static const double ROUNDING = sizeof(real) == 4 ? 3e-6 : 1e-14;

static uint64_t state = 1;

static double drawn() {  // between -1 and 1
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(state >> 11 << 11) / 9.3e18;
}

template <class Number>
struct Array {
    Number* at;
    int64_t size;
    explicit Array(int64_t size) : size(size) {
        at = (Number*)aligned_alloc(64, (size * sizeof(Number) + 127) / 64 * 64);
        for (int64_t i = 0; i < size; i++) at[i] = 0;
    }
    ~Array() { free(at); }
    void draw() { for (int64_t i = 0; i < size; i++) at[i] = drawn(); }
    Number& operator[](int64_t i) { return at[i]; }
};

struct Case {
    const char* name;
    int kernel, stride, padding, inputs, outputs, height, width, samples;
    double density;
};

static int output_size(int size, const Case& c) { return (size + 2 * c.padding - c.kernel) / c.stride + 1; }

static int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// What the kernels are given, and how it is read one number at a time.
struct Problem {
    const Case& c;
    int blocks, height, width;
    Geometry geometry;
    Array<real> x, scale, shift, weight, bias, gradient, z, by_gradient, by_output, constant;

    explicit Problem(const Case& c)
        : c(c), blocks((c.samples + LANES - 1) / LANES), height(output_size(c.height, c)), width(output_size(c.width, c)),
          geometry{blocks, c.samples - (blocks - 1) * (int)LANES, c.inputs, c.height, c.width, c.outputs, height, width, c.kernel, c.stride, c.padding},
          x(numbers(c.height, c.width, c.inputs)), scale(c.inputs), shift(c.inputs), weight(c.outputs * c.inputs * c.kernel * c.kernel),
          bias(c.outputs), gradient(numbers(height, width, c.outputs)), z(gradient.size), by_gradient(c.outputs), by_output(c.outputs), constant(c.outputs) {
        for (auto* array : {&x, &scale, &shift, &weight, &bias, &gradient, &by_gradient, &by_output, &constant}) array->draw();
        for (int i = 0; i < c.inputs; i++) shift[i] = fabs(shift[i]);  // so that ReLU leaves something of each channel
        for (int64_t i = 0; i < weight.size; i++)
            if ((drawn() + 1) / 2 >= c.density) weight[i] = 0;
    }
    int64_t numbers(int rows, int columns, int channels) const { return (int64_t)blocks * rows * columns * channels * LANES; }
    static int64_t place(int sample, int channel, int y, int x, int rows, int columns, int channels) {
        return ((((int64_t)(sample / LANES) * rows + y) * columns + x) * channels + channel) * LANES + sample % LANES;
    }
    double activated(int n, int i, int y, int x_) {
        if (y < 0 || x_ < 0 || y >= c.height || x_ >= c.width) return 0;
        const double value = (double)x[place(n, i, y, x_, c.height, c.width, c.inputs)] * scale[i] + shift[i];
        return value <= 0 ? 0 : value;
    }
    double gradient_of_output(int n, int o, int y, int x_) {
        const int64_t at = place(n, o, y, x_, height, width, c.outputs);
        return (double)gradient[at] * by_gradient[o] + (double)z[at] * by_output[o] + constant[o];
    }
    Activation activation() { return {x.at, scale.at, shift.at, 1}; }
    OutputGradient output_gradient() { return {gradient.at, z.at, by_gradient.at, by_output.at, constant.at}; }
};

// The kept weights as lists, as weights.py makes them.
struct Lists {
    Array<int32_t> start, offset, turned_start, turned_offset, index, turned_index;
    Array<real> value, turned;
    int kept = 0;

    explicit Lists(Problem& p)
        : start(p.c.outputs + 1), offset(p.weight.size + 1), turned_start(p.c.stride * p.c.stride * p.c.inputs + 1), turned_offset(p.weight.size + 1),
          index(p.weight.size + 1), turned_index(p.weight.size + 1), value(p.weight.size + 1), turned(p.weight.size + 1) {
        const Case& c = p.c;
        int32_t window[2], spread[2];
        if (!window_sizes(&p.geometry, window, spread)) exit(2);
        int rows = c.stride * c.stride * c.inputs;
        for (int o = 0; o < c.outputs; o++) {
            for (int at = o * c.inputs * c.kernel * c.kernel; at < (o + 1) * c.inputs * c.kernel * c.kernel; at++) {
                if (p.weight[at] == 0) continue;
                const int column = at % c.kernel, row = at / c.kernel % c.kernel, channel = at / c.kernel / c.kernel % c.inputs;
                offset[kept] = (channel * window[0] * window[1] + row * window[1] + column) * LANES;
                value[kept] = p.weight[at];
                index[kept++] = at;
            }
            start[o + 1] = kept;
        }
        int count = 0;
        for (int turned_row = 0; turned_row < rows; turned_row++) {
            for (int k = 0; k < kept; k++) {
                const int at = index[k], column = at % c.kernel, row = at / c.kernel % c.kernel, channel = at / c.kernel / c.kernel % c.inputs, o = at / c.kernel / c.kernel / c.inputs;
                const int y = ((row - c.padding) % c.stride + c.stride) % c.stride, x = ((column - c.padding) % c.stride + c.stride) % c.stride;
                if ((y * c.stride + x) * c.inputs + channel != turned_row) continue;
                const int first = floor_div(c.padding - c.kernel + 1, c.stride);
                const int above = floor_div(y + c.padding - row, c.stride) - first, beside = floor_div(x + c.padding - column, c.stride) - first;
                turned_offset[count] = (o * spread[0] * spread[1] + above * spread[1] + beside) * LANES;
                turned[count++] = p.weight[at];
            }
            turned_start[turned_row + 1] = count;
        }
    }
};

static bool all_near = true;

struct Difference {
    double most = 0, largest = 0;
    void see(double found, double right) {
        const double difference = fabs(found - right);
        if (!(difference <= most)) most = difference;  // what is not a number is never near
        if (fabs(right) > largest) largest = fabs(right);
    }
    void say(const Case& c, const char* way, const char* what) const {
        const double share = most / (largest + 1e-30);
        const bool is_near = share < ROUNDING && largest > 0;
        all_near &= is_near;
        printf("%s %s %s: %.1e%s\n", c.name, way, what, share, is_near ? "" : " TOO MUCH");
    }
};

static void compare(Problem& p, const char* way, Array<real>& weight_gradient, Array<real>& input_gradient) {
    const Case& c = p.c;
    Difference forward, of_weight, of_input;
    Array<double> weights(p.weight.size), inputs(p.x.size);
    for (int n = 0; n < c.samples; n++)
        for (int o = 0; o < c.outputs; o++)
            for (int y = 0; y < p.height; y++)
                for (int x = 0; x < p.width; x++) {
                    double sum = p.bias[o];
                    const double gradient = p.gradient_of_output(n, o, y, x);
                    for (int at = 0; at < c.inputs * c.kernel * c.kernel; at++) {
                        const int i = at / c.kernel / c.kernel, row = y * c.stride - c.padding + at / c.kernel % c.kernel, column = x * c.stride - c.padding + at % c.kernel;
                        const double weight = p.weight[o * c.inputs * c.kernel * c.kernel + at], activated = p.activated(n, i, row, column);
                        sum += weight * activated;
                        weights[o * c.inputs * c.kernel * c.kernel + at] += gradient * activated;
                        if (activated > 0) inputs[Problem::place(n, i, row, column, c.height, c.width, c.inputs)] += gradient * weight;
                    }
                    forward.see(p.z[Problem::place(n, o, y, x, p.height, p.width, c.outputs)], sum);
                }
    for (int64_t at = 0; at < p.weight.size; at++)
        if (p.weight[at] != 0) of_weight.see(weight_gradient[at], weights[at]);
    for (int n = 0; n < c.samples; n++)
        for (int at = 0; at < c.inputs * c.height * c.width; at++) {
            const int64_t place = Problem::place(n, at % c.inputs, at / c.inputs / c.width, at / c.inputs % c.width, c.height, c.width, c.inputs);
            of_input.see(input_gradient[place], inputs[place]);
        }
    forward.say(c, way, "forward");
    of_weight.say(c, way, "weights' gradient");
    of_input.say(c, way, "input's gradient");
}

static void by_kept_weights(const Case& c) {
    Problem p(c);
    Lists lists(p);
    const Activation activation = p.activation();
    const OutputGradient out = p.output_gradient();
    const Weights rows{lists.start.at, lists.offset.at, lists.value.at}, turned{lists.turned_start.at, lists.turned_offset.at, lists.turned.at};
    int32_t window[2], spread[2];
    window_sizes(&p.geometry, window, spread);
    Array<real> scratch((lists.kept + window[0] * window[1] * c.inputs + spread[0] * spread[1] * c.outputs) * (int64_t)LANES), listed(lists.kept + 1), weights(p.weight.size), inputs(p.x.size);
    convolution_forward(&p.geometry, &activation, &rows, p.bias.at, p.z.at, nullptr, nullptr, scratch.at);
    const InputGradient in{inputs.at, 0, 1, activation, 0, {}};
    convolution_backward(&p.geometry, &activation, &out, &rows, listed.at, &turned, &in, scratch.at);
    for (int k = 0; k < lists.kept; k++) weights[lists.index[k]] = listed[k];
    compare(p, "kept weights", weights, inputs);
}

static void by_winograd(const Case& c) {
    Problem p(c);
    const Activation activation = p.activation();
    const OutputGradient out = p.output_gradient();
    Array<real> scratch(winograd_scratch(&p.geometry) * LANES), weights(p.weight.size), inputs(p.x.size);
    winograd_forward(&p.geometry, &activation, p.weight.at, p.bias.at, p.z.at, nullptr, nullptr, scratch.at);
    const InputGradient in{inputs.at, 0, 1, activation, 0, {}};
    winograd_backward(&p.geometry, &activation, &out, p.weight.at, weights.at, &in, scratch.at);
    compare(p, "Winograd", weights, inputs);
}

int main() {
    printf("%d numbers in a vector\n", (int)LANES);
    const Case cases[] = {
        {"3x3", 3, 1, 1, 5, 6, 9, 6, 35, 0.4},
        {"3x3 of stride 2", 3, 2, 1, 3, 5, 11, 8, 17, 0.4},
        {"1x1 of stride 2", 1, 2, 0, 4, 7, 8, 8, 9, 0.5},
        {"5x5", 5, 1, 2, 2, 3, 7, 9, 16, 0.3},
        {"3x3 to 2x2", 3, 1, 1, 8, 5, 2, 2, 21, 0.6},
    };
    for (const Case& c : cases) by_kept_weights(c);
    const Case whole[] = {{"3x3", 3, 1, 1, 9, 6, 9, 6, 35, 1}, {"3x3 without padding", 3, 1, 0, 3, 17, 12, 7, 5, 1}, {"3x3 to 2x2", 3, 1, 1, 9, 7, 2, 2, 19, 1}};
    for (const Case& c : whole) by_winograd(c);
    return !all_near;
}
