// A published model of 135 M parameters against reference numbers that another
// program made of it in float64. Long tier: its weights are not test data of
// every machine. VARALIGN_SMOLLM2 names a directory with its config.json and
// the model.safetensors (float32) of the test data's convert.py.
#include <cstdlib>

#include "base/file.h"
#include "model/score.h"
#include "tests/model/golden_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/test_data.h"

namespace varalign::model {
namespace {

TEST(SmolLm2Test, LogProbsEqualThoseOfItsGolden) {
  REQUIRE_TEST_DATA(data, "models/smollm2-135m-instruct");
  const char* directory = std::getenv("VARALIGN_SMOLLM2");
  if (directory == nullptr) {
    GTEST_SKIP() << "no weights: set VARALIGN_SMOLLM2 to a directory that "
                    "convert.py of the test data made";
  }
  ASSERT_OK_AND_ASSIGN(const Parameters parameters,
                       LoadModel(directory, at::kFloat));
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       base::ReadFile(data / "golden.json"));
  ASSERT_OK_AND_ASSIGN(const base::Json cases, base::ParseJson(text));
  int compared = 0;
  for (const base::Json& c : cases) {
    const auto ids = c["ids"].get<std::vector<uint32_t>>();
    const auto expected = c["token_logprobs"].get<std::vector<double>>();
    const Sequence one[] = {
        {std::span(ids).first(1), std::span(ids).subspan(1)}};
    ASSERT_OK_AND_ASSIGN(const auto results, LogProbs(parameters, one));
    ASSERT_EQ(results[0].tokens.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(results[0].tokens[i], expected[i], 1e-4);
      ++compared;
    }
  }
  EXPECT_GT(compared, 50);
}

}  // namespace
}  // namespace varalign::model
