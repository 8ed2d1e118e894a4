#include "coordinator/slot_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace varalign::coordinator {
namespace {

constexpr size_t kMaxSlots = 4096;

}  // namespace

absl::Status SlotPool::Register(const v1::RegisterRequest& request,
                                absl::Duration now) {
  const auto known = slots_.find(request.slot_id());
  if (known == slots_.end() && slots_.size() >= kMaxSlots) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too many workers are registered: limit ", kMaxSlots));
  }
  Slot& slot = slots_[request.slot_id()];
  if (known == slots_.end()) {
    slot.order = next_order_++;
    last_change_ = now;
  }
  slot.announced = request;
  slot.heard_at = now;
  slot.gone_since.reset();
  slot.is_current = false;
  return absl::OkStatus();
}

Slot* SlotPool::Find(const std::string& slot_id) {
  const auto found = slots_.find(slot_id);
  return found == slots_.end() ? nullptr : &found->second;
}

const Slot* SlotPool::Find(const std::string& slot_id) const {
  const auto found = slots_.find(slot_id);
  return found == slots_.end() ? nullptr : &found->second;
}

void SlotPool::Hear(const v1::SlotHeartbeat& heartbeat, absl::Duration now) {
  Slot& slot = slots_.at(heartbeat.slot_id());
  const bool runs = heartbeat.has_process() && !heartbeat.process().exited();
  const bool was_idle = slot.is_current && !slot.process;
  slot.heard_at = now;
  slot.called_at = now;
  slot.gone_since.reset();
  slot.is_current = true;
  slot.process.reset();
  if (runs) slot.process = heartbeat.process();
  if (was_idle == runs) last_change_ = now;
}

void SlotPool::Touch(const std::string& slot_id, absl::Duration now) {
  if (Slot* slot = Find(slot_id)) slot->heard_at = now;
}

void SlotPool::Lose(const std::string& slot_id, absl::Duration arrived_at,
                    absl::Duration now) {
  Slot* slot = Find(slot_id);
  if (slot == nullptr || slot->called_at > arrived_at) return;
  slot->gone_since = now;
}

bool SlotPool::MayDirect(const std::string& slot_id,
                         const v1::HeartbeatResponse& directive,
                         absl::Duration pause, absl::Duration now) {
  Slot* slot = Find(slot_id);
  if (slot == nullptr) return true;
  std::string text = directive.SerializeAsString();
  if (text == slot->last_directive && now - slot->directed_at < pause) {
    return false;
  }
  slot->last_directive = std::move(text);
  slot->directed_at = now;
  slot->is_current = false;
  return true;
}

std::vector<std::string> SlotPool::RemoveSilent(absl::Duration limit,
                                                absl::Duration now) {
  std::vector<std::string> removed;
  std::erase_if(slots_, [&](const auto& entry) {
    if (now - entry.second.heard_at <= limit) return false;
    removed.push_back(entry.first);
    return true;
  });
  if (!removed.empty()) last_change_ = now;
  return removed;
}

void SlotPool::ForgiveSilence(absl::Duration now) {
  for (auto& [_, slot] : slots_) {
    slot.heard_at = now;
    slot.gone_since.reset();
  }
}

std::vector<IdleSlot> SlotPool::Idle() const {
  std::vector<IdleSlot> idle;
  for (const auto& [slot_id, slot] : slots_) {
    if (!slot.is_current || slot.process || slot.gone_since) continue;
    idle.push_back({.slot_id = slot_id,
                    .launcher_rank = slot.announced.launcher_rank(),
                    .launcher_size = slot.announced.launcher_size(),
                    .order = slot.order});
  }
  return idle;
}

}  // namespace varalign::coordinator
