// Runs MODEL.onnx by ONNX Runtime, without Python:
//
//   g++ -std=c++17 MODEL.cpp -I onnxruntime/include -L onnxruntime/lib -l onnxruntime -o MODEL
//   ./MODEL MODEL.onnx pixels.raw 1 3 640 640
//
// pixels.raw holds the input as float32 in the order of the sides that follow it; for pictures RGB in [0, 1], made
// square as `rsdet predict` does. Each output is written to NAME.raw as float32, its sides are printed.
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnxruntime_cxx_api.h"

static std::vector<float> read(const char* path, size_t count) {
  std::vector<float> values(count);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), count * sizeof(float));
  if (!file || file.peek() != EOF) throw std::runtime_error(std::string(path) + " does not hold " +
                                                            std::to_string(count) + " numbers of 32 bits");
  return values;
}

int main(int argc, char** argv) try {
  if (argc < 4) throw std::runtime_error("expected: MODEL.onnx pixels.raw SIDES, such as 1 3 640 640");
  std::vector<int64_t> sides;
  for (int i = 3; i < argc; ++i) sides.push_back(std::stoll(argv[i]));
  const auto count = std::accumulate(sides.begin(), sides.end(), int64_t{1}, std::multiplies<int64_t>());

  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "rsdet");
  Ort::SessionOptions options;
  Ort::Session session(env, argv[1], options);  // a wide path on Windows
  Ort::AllocatorWithDefaultOptions allocator;
  const auto input = session.GetInputNameAllocated(0, allocator);
  std::vector<std::string> names;
  for (size_t i = 0; i < session.GetOutputCount(); ++i)
    names.push_back(session.GetOutputNameAllocated(i, allocator).get());
  std::vector<const char*> outputs;
  for (const auto& name : names) outputs.push_back(name.c_str());

  auto pixels = read(argv[2], static_cast<size_t>(count));
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto tensor = Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), sides.data(), sides.size());
  const char* inputs[] = {input.get()};
  auto found = session.Run(Ort::RunOptions{}, inputs, &tensor, 1, outputs.data(), outputs.size());

  for (size_t i = 0; i < found.size(); ++i) {
    const auto info = found[i].GetTensorTypeAndShapeInfo();
    if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) throw std::runtime_error(names[i] + ": no float32");
    std::ofstream(names[i] + ".raw", std::ios::binary).write(
        reinterpret_cast<const char*>(found[i].GetTensorData<float>()), info.GetElementCount() * sizeof(float));
    std::cout << names[i];
    for (auto side : info.GetShape()) std::cout << ' ' << side;
    std::cout << '\n';
  }
  return 0;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 2;
}
