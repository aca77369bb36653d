// What one thread of the processor can do at most: multiply and add in registers, and read memory.

#include <stdint.h>

#if defined(__AVX512F__)
enum { VECTOR = 64 };
#elif defined(__AVX__)
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
// Enough sums under way for two units that each take up to six cycles, and few enough for 16 registers.
enum { SUMS = 12, READ_AT_ONCE = 8 };

typedef float lanes __attribute__((vector_size(VECTOR), may_alias));

extern "C" {

// Multiplies and adds in registers; returns the number of floating-point operations.
int64_t multiply_add(int64_t times, float* out) {
    lanes sum[SUMS] = {}, factor = lanes{} + out[0], summand = lanes{} + out[1];
    // No loop can be folded: the order of additions of floating-point numbers matters.
    for (int64_t i = 0; i < times; i++)
#pragma GCC unroll 16
        for (int s = 0; s < SUMS; s++) sum[s] = sum[s] * factor + summand;
    lanes total = {};
    for (int s = 0; s < SUMS; s++) total += sum[s];
    out[2] = total[0];
    return 2 * times * SUMS * (int64_t)(VECTOR / sizeof(float));
}

// Reads an array again and again; `bytes` is a multiple of READ_AT_ONCE vectors. Returns the number of bytes read.
int64_t read_array(const float* array, int64_t bytes, int64_t times, float* out) {
    lanes sum[READ_AT_ONCE] = {};
    for (int64_t i = 0; i < times; i++) {
        const lanes* from = (const lanes*)array;
        for (const lanes* end = from + bytes / VECTOR; from < end; from += READ_AT_ONCE)
#pragma GCC unroll 16
            for (int s = 0; s < READ_AT_ONCE; s++) sum[s] += from[s];
    }
    lanes total = {};
    for (int s = 0; s < READ_AT_ONCE; s++) total += sum[s];
    out[0] = total[0];
    return bytes * times;
}

}
