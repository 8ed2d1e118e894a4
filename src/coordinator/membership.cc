#include "coordinator/membership.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace varalign::coordinator {
namespace {

int32_t SortKey(const IdleSlot& slot) {
  return slot.launcher_rank < 0 ? std::numeric_limits<int32_t>::max()
                                : slot.launcher_rank;
}

std::vector<IdleSlot> InOrder(std::vector<IdleSlot> slots) {
  std::sort(
      slots.begin(), slots.end(), [](const IdleSlot& a, const IdleSlot& b) {
        return std::pair(SortKey(a), a.order) < std::pair(SortKey(b), b.order);
      });
  return slots;
}

int32_t LauncherSize(const std::vector<IdleSlot>& idle) {
  int32_t size = 0;
  for (const IdleSlot& slot : idle) size = std::max(size, slot.launcher_size);
  return size;
}

bool MayTakeAll(const MembershipView& view, const MembershipRules& rules,
                absl::Duration now) {
  const auto launched = static_cast<size_t>(LauncherSize(view.idle));
  const absl::Duration quiet = now - view.last_change;
  if (launched > 1) {
    return view.idle.size() >= launched || quiet >= rules.launcher_settle;
  }
  return quiet >= rules.settle;
}

}  // namespace

Move NextMove(const MembershipView& view, const MembershipRules& rules,
              absl::Duration now) {
  if (now < view.not_before) {
    return Wait{"waiting until the lease of the generation before has run out"};
  }
  const size_t wanted = std::max<size_t>(1, view.workers);
  if (view.idle.size() < wanted) {
    return Wait{absl::StrCat(
        "waiting for ", wanted, wanted == 1 ? " worker, " : " workers, ",
        view.num_slots, " registered, ", view.idle.size(), " idle")};
  }
  if (view.workers == 0 && !MayTakeAll(view, rules, now)) {
    return Wait{"waiting for more workers to register"};
  }
  const size_t size = view.workers == 0 ? view.idle.size() : wanted;
  Form form;
  for (const IdleSlot& slot : InOrder(view.idle)) {
    if (form.slot_ids.size() == size) break;
    form.slot_ids.push_back(slot.slot_id);
  }
  return form;
}

}  // namespace varalign::coordinator
