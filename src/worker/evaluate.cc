#include "worker/evaluate.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "data/plan.h"
#include "model/score.h"

namespace varalign::worker {
namespace {

// Sequences scored by one call: what is held in memory at once.
constexpr size_t kSequencesAtOnce = 64;

double LogSumExp(std::span<const double> values) {
  const double max = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += std::exp(value - max);
  return max + std::log(sum);
}

// log softmax over the responses of an example.
std::vector<double> Restrict(std::span<const double> logits) {
  const double log_z = LogSumExp(logits);
  std::vector<double> log_p;
  for (const double logit : logits) log_p.push_back(logit - log_z);
  return log_p;
}

double Kl(std::span<const double> log_p, std::span<const double> log_q) {
  double kl = 0;
  for (size_t k = 0; k < log_p.size(); ++k) {
    kl += std::exp(log_p[k]) * (log_p[k] - log_q[k]);
  }
  return kl;
}

double ExpectedReward(std::span<const double> log_p,
                      std::span<const objective::Score> scores) {
  double sum = 0;
  for (size_t k = 0; k < scores.size(); ++k) {
    sum += std::exp(log_p[k]) * scores[k].reward;
  }
  return sum;
}

void CountPairs(std::span<const objective::Score> scores,
                std::span<const double> policy, EvaluationSums& sums) {
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < scores.size(); ++j) {
      if (!(scores[i].reward > scores[j].reward)) continue;
      ++sums.pairs;
      sums.pairs_right += policy[i] > policy[j];
    }
  }
}

// The fields in one order, to be added up over examples and ranks.
std::vector<double*> Fields(EvaluationSums& s) {
  return {&s.examples,
          &s.rows,
          &s.tokens,
          &s.nll,
          &s.kl,
          &s.log_mass,
          &s.optimum_reward,
          &s.optimum_kl,
          &s.pairs,
          &s.expected_reward,
          &s.kl_to_optimum,
          &s.pairs_right};
}

void Add(EvaluationSums other, EvaluationSums& sums) {
  const auto from = Fields(other), to = Fields(sums);
  for (size_t i = 0; i < to.size(); ++i) *to[i] += *from[i];
}

v1::EvaluationReport ReportOf(const EvaluationSums& sums,
                              const Optimum& optimum, uint64_t step) {
  const double examples = std::max(sums.examples, 1.0);
  v1::EvaluationReport report;
  report.set_step(step);
  report.set_examples(static_cast<uint64_t>(sums.examples));
  report.set_rows(static_cast<uint64_t>(sums.rows));
  report.set_nll_per_token(sums.nll / std::max(sums.tokens, 1.0));
  report.set_expected_reward(sums.expected_reward / examples);
  report.set_kl(sums.kl / examples);
  report.set_log_mass(sums.log_mass / examples);
  report.set_pair_accuracy(sums.pairs_right / std::max(sums.pairs, 1.0));
  if (optimum.is_known) {
    report.set_optimum_expected_reward(sums.optimum_reward / examples);
    report.set_optimum_kl(sums.optimum_kl / examples);
    report.set_kl_to_optimum(sums.kl_to_optimum / examples);
  }
  return report;
}

// The policy's log-probabilities of all rows, in order.
absl::StatusOr<std::vector<double>> PolicyLogProbs(
    std::span<const HeldOutExample> examples,
    const model::Parameters& parameters) {
  std::vector<model::Sequence> sequences;
  for (const HeldOutExample& held_out : examples) {
    for (const data::RowView& row : held_out.example.rows) {
      sequences.push_back({held_out.example.prompt, row.response});
    }
  }
  std::vector<double> logprobs;
  for (size_t begin = 0; begin < sequences.size(); begin += kSequencesAtOnce) {
    const size_t count = std::min(kSequencesAtOnce, sequences.size() - begin);
    ASSIGN_OR_RETURN(const std::vector<model::ResponseLogProbs> part,
                     model::LogProbs(parameters, std::span(sequences).subspan(
                                                     begin, count)));
    for (const model::ResponseLogProbs& row : part) {
      logprobs.push_back(row.sum);
    }
  }
  return logprobs;
}

}  // namespace

std::vector<HeldOutExample> DealHeldOut(const data::Dataset& dataset,
                                        uint32_t rank, uint32_t world_size) {
  std::vector<data::ExampleView> examples;
  std::vector<double> work;
  for (uint64_t i = 0; i < dataset.num_examples(); ++i) {
    data::ExampleView example = dataset.example(i);
    if (example.rows.size() < 2) continue;
    size_t tokens = 0;
    for (const data::RowView& row : example.rows) {
      tokens += example.prompt.size() + row.response.size();
    }
    work.push_back(static_cast<double>(tokens));
    examples.push_back(std::move(example));
  }
  std::vector<HeldOutExample> mine;
  const auto dealt = data::DealToRanks(work, world_size);
  for (const size_t i : dealt[rank]) {
    mine.push_back({.example = std::move(examples[i]), .scores = {}});
  }
  return mine;
}

EvaluationSums SumsOf(std::span<const objective::Score> scores,
                      std::span<const double> policy, const Optimum& optimum) {
  EvaluationSums sums{.examples = 1,
                      .rows = static_cast<double>(scores.size())};
  std::vector<double> reference, target;
  for (size_t k = 0; k < scores.size(); ++k) {
    sums.tokens += scores[k].num_tokens;
    sums.nll -= policy[k];
    reference.push_back(scores[k].logprob_sum);
    target.push_back(scores[k].logprob_sum +
                     scores[k].reward / optimum.lambda_raw);
  }
  const std::vector<double> log_p = Restrict(policy);
  const std::vector<double> log_ref = Restrict(reference);
  sums.log_mass = LogSumExp(policy);
  sums.expected_reward = ExpectedReward(log_p, scores);
  sums.kl = Kl(log_p, log_ref);
  if (optimum.is_known) {
    const std::vector<double> log_best = Restrict(target);
    sums.optimum_reward = ExpectedReward(log_best, scores);
    sums.optimum_kl = Kl(log_best, log_ref);
    sums.kl_to_optimum = Kl(log_best, log_p);
  }
  CountPairs(scores, policy, sums);
  return sums;
}

absl::StatusOr<v1::EvaluationReport> Evaluate(
    std::span<const HeldOutExample> examples,
    const model::Parameters& parameters, const Optimum& optimum, uint64_t step,
    collective::ProcessGroup& group) {
  ASSIGN_OR_RETURN(const std::vector<double> policy,
                   PolicyLogProbs(examples, parameters));
  EvaluationSums sums;
  size_t next = 0;
  for (const HeldOutExample& held_out : examples) {
    const auto part = std::span(policy).subspan(next, held_out.scores.size());
    Add(SumsOf(held_out.scores, part, optimum), sums);
    next += held_out.scores.size();
  }
  const std::vector<double*> fields = Fields(sums);
  std::vector<double> values;
  for (const double* field : fields) values.push_back(*field);
  at::Tensor all = at::from_blob(
      values.data(), {static_cast<int64_t>(values.size())}, at::kDouble);
  RETURN_IF_ERROR(group.AllReduceSum(all));
  for (size_t i = 0; i < fields.size(); ++i) *fields[i] = values[i];
  return ReportOf(sums, optimum, step);
}

}  // namespace varalign::worker
