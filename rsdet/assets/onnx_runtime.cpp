/* Runs {file} by ONNX Runtime, without Python. Beside its release for C++, unpacked as onnxruntime/:

     g++ -std=c++17 {source} -o {program} -I onnxruntime/include -L onnxruntime/lib -l onnxruntime -Wl,-rpath,'$ORIGIN/onnxruntime/lib'
     ./{program} {model} pixels.raw {sides}

   {rule}
   Each output is written to NAME.raw as float32, its sides are printed. */
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnxruntime_cxx_api.h"

static void require(bool holds, const std::string& otherwise) {
  if (!holds) throw std::runtime_error(otherwise);
}

int main(int argc, char** argv) try {
  require(argc > 3, std::string("expected: ") + argv[0] + " FILE.onnx pixels.raw SIDES, such as {sides}");
  require(OrtGetApiBase()->GetApi(ORT_API_VERSION), std::string("libonnxruntime ") +
          OrtGetApiBase()->GetVersionString() + " is older than the headers; compile with those of its version");
  std::vector<int64_t> sides;
  size_t count = 1;
  for (int i = 3; i < argc; ++i) {
    char* end = nullptr;
    sides.push_back(std::strtoll(argv[i], &end, 10));
    require(!*end && sides.back() > 0, std::string(argv[i]) + ": not a side, a whole number of 1 or more");
    count *= static_cast<size_t>(sides.back());
  }
  require(std::filesystem::file_size(argv[2]) == count * sizeof(float),
          std::string(argv[2]) + " does not hold " + std::to_string(count) + " numbers of 32 bits");
  std::vector<float> pixels(count);
  std::ifstream raw(argv[2], std::ios::binary);
  require(!!raw.read(reinterpret_cast<char*>(pixels.data()), count * sizeof(float)), "the pixels cannot be read");

  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "rsdet");
  Ort::Session session(env, std::filesystem::path(argv[1]).c_str(), Ort::SessionOptions{});
  Ort::AllocatorWithDefaultOptions allocator;
  const auto input = session.GetInputNameAllocated(0, allocator);
  std::vector<Ort::AllocatedStringPtr> names;
  std::vector<const char*> inputs{input.get()}, outputs;
  for (size_t i = 0; i < session.GetOutputCount(); ++i)
    outputs.push_back(names.emplace_back(session.GetOutputNameAllocated(i, allocator)).get());
  const auto tensor =
      Ort::Value::CreateTensor<float>(allocator.GetInfo(), pixels.data(), count, sides.data(), sides.size());
  const auto found = session.Run(Ort::RunOptions{}, inputs.data(), &tensor, 1, outputs.data(), outputs.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const auto info = found[i].GetTensorTypeAndShapeInfo();
    require(info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, outputs[i] + std::string(": no float32"));
    std::ofstream file(outputs[i] + std::string(".raw"), std::ios::binary);
    file.write(reinterpret_cast<const char*>(found[i].GetTensorData<float>()), info.GetElementCount() * sizeof(float));
    require(!!file.flush(), outputs[i] + std::string(".raw cannot be written"));
    std::cout << outputs[i];
    for (auto side : info.GetShape()) std::cout << ' ' << side;
    std::cout << '\n';
  }
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 2;
}
