// Backward pass of a depthwise 2-D convolution, float32, channels last: [N, H, W, C] in memory.
// torch's own CPU kernel for it is an order of magnitude slower than its forward pass.
#include <torch/extension.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <vector>

namespace {

constexpr int64_t kBlock = 16;  // channels handled at once: one AVX-512 register

template <int K>
void weight_block(const float* x, const float* g, float* acc, int64_t H, int64_t W, int64_t C, int64_t c0, int64_t n,
                  int64_t OH, int64_t OW, int64_t stride) {
  constexpr int64_t pad = K / 2;
  float sum[K * K][kBlock] = {};
  for (int64_t oy = 0; oy < OH; ++oy) {
    for (int64_t ox = 0; ox < OW; ++ox) {
      const float* gp = g + ((n * OH + oy) * OW + ox) * C + c0;
      const int64_t y0 = oy * stride - pad, x0 = ox * stride - pad;
      if (y0 >= 0 && x0 >= 0 && y0 + K <= H && x0 + K <= W) {
        const float* xp = x + ((n * H + y0) * W + x0) * C + c0;
#pragma GCC unroll 25
        for (int t = 0; t < K * K; ++t) {
          const float* p = xp + ((t / K) * W + t % K) * C;
#pragma GCC ivdep
          for (int64_t c = 0; c < kBlock; ++c) sum[t][c] += p[c] * gp[c];
        }
      } else {
        for (int t = 0; t < K * K; ++t) {
          const int64_t yy = y0 + t / K, xx = x0 + t % K;
          if (yy < 0 || xx < 0 || yy >= H || xx >= W) continue;
          const float* p = x + ((n * H + yy) * W + xx) * C + c0;
#pragma GCC ivdep
          for (int64_t c = 0; c < kBlock; ++c) sum[t][c] += p[c] * gp[c];
        }
      }
    }
  }
  for (int t = 0; t < K * K; ++t)
    for (int64_t c = 0; c < kBlock; ++c) acc[t * C + c0 + c] += sum[t][c];
}

template <int K>
void weight_tail(const float* x, const float* g, float* acc, int64_t H, int64_t W, int64_t C, int64_t c0, int64_t n,
                 int64_t OH, int64_t OW, int64_t stride) {
  for (int64_t oy = 0; oy < OH; ++oy)
    for (int64_t ox = 0; ox < OW; ++ox)
      for (int t = 0; t < K * K; ++t) {
        const int64_t yy = oy * stride - K / 2 + t / K, xx = ox * stride - K / 2 + t % K;
        if (yy < 0 || xx < 0 || yy >= H || xx >= W) continue;
        const float* p = x + ((n * H + yy) * W + xx) * C;
        const float* gp = g + ((n * OH + oy) * OW + ox) * C;
        for (int64_t c = c0; c < C; ++c) acc[t * C + c] += p[c] * gp[c];
      }
}

template <int K>
void run(const float* x, const float* g, const float* w, float* gw, float* gx, int64_t N, int64_t H, int64_t W,
         int64_t C, int64_t OH, int64_t OW, int64_t stride) {
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), N));
  std::vector<float> acc(threads * K * K * C, 0.f);
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* own = acc.data() + t * K * K * C;
      for (int64_t n = t * N / threads; n < (t + 1) * N / threads; ++n) {
        int64_t c0 = 0;
        for (; c0 + kBlock <= C; c0 += kBlock) weight_block<K>(x, g, own, H, W, C, c0, n, OH, OW, stride);
        if (c0 < C) weight_tail<K>(x, g, own, H, W, C, c0, n, OH, OW, stride);
        for (int64_t oy = 0; oy < OH; ++oy)
          for (int64_t ox = 0; ox < OW; ++ox) {
            const float* gp = g + ((n * OH + oy) * OW + ox) * C;
            for (int k = 0; k < K * K; ++k) {
              const int64_t yy = oy * stride - K / 2 + k / K, xx = ox * stride - K / 2 + k % K;
              if (yy < 0 || xx < 0 || yy >= H || xx >= W) continue;
              float* q = gx + ((n * H + yy) * W + xx) * C;
              const float* wp = w + k * C;
#pragma GCC ivdep
              for (int64_t c = 0; c < C; ++c) q[c] += gp[c] * wp[c];
            }
          }
      }
    }
  });
  for (int64_t t = 0; t < threads; ++t)
    for (int64_t i = 0; i < K * K * C; ++i) gw[i] += acc[t * K * K * C + i];
}

}  // namespace

// x [N,H,W,C], g [N,OH,OW,C], w [K,K,C], all contiguous; returns (grad_x [N,H,W,C], grad_w [K,K,C]).
std::vector<torch::Tensor> backward(torch::Tensor x, torch::Tensor g, torch::Tensor w, int64_t stride) {
  auto gx = torch::zeros_like(x);
  auto gw = torch::zeros_like(w);
  const auto N = x.size(0), H = x.size(1), W = x.size(2), C = x.size(3), OH = g.size(1), OW = g.size(2);
  const auto K = w.size(0);
  TORCH_CHECK(K == 3 || K == 5, "kernel size 3 or 5 is needed");
  auto f = K == 3 ? run<3> : run<5>;
  f(x.data_ptr<float>(), g.data_ptr<float>(), w.data_ptr<float>(), gw.data_ptr<float>(), gx.data_ptr<float>(), N, H,
    W, C, OH, OW, stride);
  return {gx, gw};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("backward", &backward); }
