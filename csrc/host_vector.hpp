// Vectors of one instruction set: included by host_isa_*.cpp only, inside a namespace of its own, after HOST_LANES is set.
// Everything here and in what is built on it has internal linkage or lies in that namespace, so that no code of a wider
// instruction set can be linked into a narrower one.

typedef float Vec __attribute__((vector_size(HOST_LANES * 4)));
typedef std::int32_t VecInt __attribute__((vector_size(HOST_LANES * 4)));
typedef float VecAt __attribute__((vector_size(HOST_LANES * 4), aligned(4), may_alias));
typedef std::int32_t VecIntAt __attribute__((vector_size(HOST_LANES * 4), aligned(4), may_alias));
typedef double VecDouble __attribute__((vector_size(HOST_LANES > 1 ? HOST_LANES * 4 : 8)));

#define HOST_INLINE static inline __attribute__((always_inline))

#define HOST_MEMBER inline __attribute__((always_inline))
#define HOST_LAMBDA __attribute__((always_inline))

constexpr int LANES = HOST_LANES;

HOST_INLINE Vec load(const float* from) { return *reinterpret_cast<const VecAt*>(from); }
HOST_INLINE void store(float* to, Vec value) { *reinterpret_cast<VecAt*>(to) = value; }

// To the beginning of a vector in memory, past all caches: no line is fetched that will be written as a whole. Other
// threads see it once it has settled.
#if defined(HOST_X86)
HOST_INLINE void store_past(float* to, Vec value) {
#if HOST_LANES == 16
    _mm512_stream_ps(to, (__m512)value);
#elif HOST_LANES == 8
    _mm256_stream_ps(to, (__m256)value);
#else
    _mm_stream_ps(to, (__m128)value);
#endif
}
HOST_INLINE void settle_past() { _mm_sfence(); }
#else
HOST_INLINE void store_past(float* to, Vec value) { store(to, value); }
HOST_INLINE void settle_past() {}
#endif

HOST_INLINE VecInt load_int(const std::int32_t* from) { return *reinterpret_cast<const VecIntAt*>(from); }
// Minus zero changes no value, so that a broadcast is all that is left; plus zero would turn -0 into 0, and be done.
HOST_INLINE Vec all(float value) { return value - Vec{}; }
HOST_INLINE VecInt bits(Vec value) { return reinterpret_cast<VecInt>(value); }
HOST_INLINE Vec from_bits(VecInt value) { return reinterpret_cast<Vec>(value); }
HOST_INLINE Vec select(VecInt mask, Vec yes, Vec no) { return mask ? yes : no; }

#if defined(HOST_X86) && HOST_LANES == 16
HOST_INLINE Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
HOST_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) {
    return (VecDouble)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
HOST_INLINE Vec maximum(Vec a, Vec b) { return (Vec)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
HOST_INLINE Vec minimum(Vec a, Vec b) { return (Vec)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b); }
constexpr bool FUSED = true;
#elif defined(HOST_X86) && HOST_LANES == 8
HOST_INLINE Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
HOST_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) {
    return (VecDouble)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
HOST_INLINE Vec maximum(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
HOST_INLINE Vec minimum(Vec a, Vec b) { return (Vec)_mm256_min_ps((__m256)a, (__m256)b); }
constexpr bool FUSED = true;
#elif defined(HOST_X86) && HOST_LANES == 4
HOST_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
HOST_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) { return a * b + c; }
HOST_INLINE Vec maximum(Vec a, Vec b) { return (Vec)_mm_max_ps((__m128)a, (__m128)b); }
HOST_INLINE Vec minimum(Vec a, Vec b) { return (Vec)_mm_min_ps((__m128)a, (__m128)b); }
constexpr bool FUSED = false;
#elif defined(HOST_NEON)
HOST_INLINE Vec fma(Vec a, Vec b, Vec c) { return (Vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
HOST_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) {
    return (VecDouble)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
HOST_INLINE Vec maximum(Vec a, Vec b) { return (Vec)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
HOST_INLINE Vec minimum(Vec a, Vec b) { return (Vec)vminq_f32((float32x4_t)a, (float32x4_t)b); }
constexpr bool FUSED = true;
#else
HOST_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
HOST_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) { return a * b + c; }
HOST_INLINE Vec maximum(Vec a, Vec b) { return select(a > b, a, b); }
HOST_INLINE Vec minimum(Vec a, Vec b) { return select(a < b, a, b); }
constexpr bool FUSED = false;
#endif

// Whether a lane of a comparison holds.
HOST_INLINE bool any(VecInt mask) {
#if defined(HOST_X86) && HOST_LANES == 16
    return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif defined(HOST_X86) && HOST_LANES == 8
    return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(HOST_X86) && HOST_LANES == 4
    return _mm_movemask_ps((__m128)mask) != 0;
#elif defined(HOST_NEON)
    return vmaxvq_u32((uint32x4_t)mask) != 0;
#else
    return mask[0] != 0;
#endif
}

// sum += a * b, in the order in which it is written where registers are few: a compiler that moves these about runs out of
// them.
HOST_INLINE void accumulate(Vec& sum, Vec a, Vec b) {
#if defined(HOST_X86) && HOST_LANES == 8
    asm volatile("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#else
    sum = fma(a, b, sum);
#endif
}

constexpr float LOG2_E = 1.44269504088896340736f;
constexpr float LOWEST = -3.0e38f;  // below any score, and finite: a difference of two of it is a number

// 2^f for f in [-1/2, 1/2]: the polynomial of degree 5 with the least relative error there (1.9e-7 in fp32) and none
// at 0.
HOST_INLINE Vec power_of_two_fraction(Vec f) {
    Vec p = fma(f, all(1.32647273e-3f), all(9.67151299e-3f));
    p = fma(p, f, all(5.55073358e-2f));
    p = fma(p, f, all(2.40222424e-1f));
    p = fma(p, f, all(6.93147004e-1f));
    return fma(p, f, all(1.0f));
}

// 2^x for x <= 127.5; zero below 2^-126.5. Adding 1.5 * 2^23 + 127 rounds to a whole number n and leaves n + 127, the
// exponent of 2^n, in the low bits.
HOST_INLINE Vec exp2(Vec x) {
    const Vec shift = all(12582912.0f + 127.0f);
    x = maximum(all(-127.0f), x);  // of a NaN and a bound, the second operand: a NaN is kept
    const Vec moved = x + shift;
    const Vec fraction = x - (moved - shift);
    return power_of_two_fraction(fraction) * from_bits(bits(moved) << 23);
}

// Vectors of exponentials that go side by side in a loop over a row: chains of 40 cycles, of which schedulers hold few, and
// registers more where there are more of them.
constexpr int ROW_EXPS = LANES >= 8 ? 4 : 2;

// The same of several vectors step by step: a chain of so many instructions keeps a core busy only where others stand
// beside it, nearer than its schedulers reach.
template <int NV>
HOST_INLINE void exp2_each(Vec (&x)[NV]) {
    const Vec shift = all(12582912.0f + 127.0f);
    Vec moved[NV], p[NV];
    const float coefficients[] = {5.55073358e-2f, 2.40222424e-1f, 6.93147004e-1f, 1.0f};
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] = maximum(all(-127.0f), x[j]);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) moved[j] = x[j] + shift;
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] -= moved[j] - shift;
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) p[j] = fma(x[j], all(1.32647273e-3f), all(9.67151299e-3f));
#pragma GCC unroll 8
    for (int c = 0; c < 4; ++c)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) p[j] = fma(p[j], x[j], all(coefficients[c]));
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] = p[j] * from_bits(bits(moved[j]) << 23);
}

// e^x over all of fp32: infinity above its range, zero below 2^-126.5, NaN kept (of a NaN and a bound, both operations
// return the second operand). x is written as n ln 2 + rest, with ln 2 split so that its rounding does not enter; the
// polynomial is that of 2^f with f = rest log2(e). A factor 2^128 is no number, and is made in two steps.
template <int NV>
HOST_INLINE void exp_each(Vec (&x)[NV]) {
    constexpr double L = 1.44269504088896340736;
    const float coefficients[] = {
        static_cast<float>(5.55073358e-2 * L * L * L), static_cast<float>(2.40222424e-1 * L * L),
        static_cast<float>(6.93147004e-1 * L), 1.0f};
    const Vec highest = all(static_cast<float>(1.32647273e-3 * L * L * L * L * L));
    const Vec next = all(static_cast<float>(9.67151299e-3 * L * L * L * L));
    const Vec shift = all(12582912.0f + 127.0f), most = all(12582912.0f + 254.0f);
    Vec moved[NV], p[NV], n[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] = maximum(all(-88.0f), minimum(all(89.0f), x[j]));
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) moved[j] = fma(x[j], all(LOG2_E), shift);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) n[j] = moved[j] - shift;
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] = fma(n[j], all(-0.693145751953125f), x[j]);  // ln 2 in its first 16 bits
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) x[j] = fma(n[j], all(-1.42860677e-6f), x[j]);  // and the rest of it
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) p[j] = fma(x[j], highest, next);
#pragma GCC unroll 8
    for (int c = 0; c < 4; ++c)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) p[j] = fma(p[j], x[j], all(coefficients[c]));
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        const Vec bounded = minimum(moved[j], most);
        p[j] *= from_bits(bits(bounded) << 23);
        x[j] = fma(p[j], moved[j] - bounded, p[j]);
    }
}

#if defined(HOST_X86) && HOST_LANES == 16
HOST_INLINE float largest_lane(Vec value) { return _mm512_reduce_max_ps((__m512)value); }
HOST_INLINE float sum_of_lanes(Vec value) { return _mm512_reduce_add_ps((__m512)value); }
#elif defined(HOST_NEON)
HOST_INLINE float largest_lane(Vec value) { return vmaxvq_f32((float32x4_t)value); }
HOST_INLINE float sum_of_lanes(Vec value) { return vaddvq_f32((float32x4_t)value); }
#elif HOST_LANES >= 4
// A halving a step: lanes one after the other would be a chain twice as long.
typedef float Quarter __attribute__((vector_size(16)));
HOST_INLINE Quarter quarter(Vec value, int number) {
    Quarter result;
    __builtin_memcpy(&result, reinterpret_cast<const char*>(&value) + 16 * number, sizeof(result));
    return result;
}
HOST_INLINE float largest_lane(Vec value) {
    Quarter x = quarter(value, 0);
    if (LANES == 8) {
        const Quarter y = quarter(value, LANES / 4 - 1);
        x = x > y ? x : y;
    }
    const Quarter turned = __builtin_shufflevector(x, x, 2, 3, 0, 1);
    x = x > turned ? x : turned;
    return x[0] > x[1] ? x[0] : x[1];
}
HOST_INLINE float sum_of_lanes(Vec value) {
    Quarter x = quarter(value, 0);
    if (LANES == 8) x += quarter(value, LANES / 4 - 1);
    x += __builtin_shufflevector(x, x, 2, 3, 0, 1);
    return x[0] + x[1];
}
#else
HOST_INLINE float largest_lane(Vec value) {
    float result = value[0];
    for (int lane = 1; lane < LANES; ++lane) result = value[lane] > result ? value[lane] : result;
    return result;
}
HOST_INLINE float sum_of_lanes(Vec value) {
    float result = 0.0f;
    for (int lane = 0; lane < LANES; ++lane) result += value[lane];
    return result;
}
#endif

// The first `count` floats, the others `rest`.
#if defined(HOST_X86) && HOST_LANES == 16
HOST_INLINE Vec load_some(const float* from, int count, float rest) {
    return (Vec)_mm512_mask_loadu_ps((__m512)all(rest), static_cast<__mmask16>((1u << count) - 1), from);
}
HOST_INLINE void store_some(float* to, Vec value, int count) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)value);
}
#else
HOST_INLINE Vec load_some(const float* from, int count, float rest) {
    Vec value = all(rest);
    __builtin_memcpy(&value, from, static_cast<std::size_t>(count) * sizeof(float));
    return value;
}
HOST_INLINE void store_some(float* to, Vec value, int count) {
    __builtin_memcpy(to, &value, static_cast<std::size_t>(count) * sizeof(float));
}
#endif
