#include "kernels/emulation/ordering.h"

#include <algorithm>

namespace batchwise::emulation {
namespace {

constexpr unsigned kLanes = 32;
constexpr unsigned kThreadBits = 10;  // of a block's 1024 threads

std::uint64_t key(Place place) { return std::uint64_t{place.block} << kThreadBits | place.thread; }

void raise_to(Segment& value, Segment least) { value = std::max(value, least); }

}  // namespace

Now now;
Ordering ordering;

void Knowledge::add_block(std::uint32_t block, Segment until) { raise_to(blocks_[block], until); }

void Knowledge::add_thread(Place place, Segment until) { raise_to(threads_[key(place)], until); }

void Knowledge::add(const Knowledge& other) {
  for (const auto& [block, until] : other.blocks_) raise_to(blocks_[block], until);
  for (const auto& [thread, until] : other.threads_) raise_to(threads_[thread], until);
}

bool Knowledge::covers(Place place, Segment segment) const {
  const auto block = blocks_.find(place.block);
  if (block != blocks_.end() && segment < block->second) return true;
  const auto thread = threads_.find(key(place));
  return thread != threads_.end() && segment < thread->second;
}

void Ordering::begin_launch(unsigned threads_of_block, bool cooperative) {
  cooperative_ = cooperative;
  first_ = next_;
  owners_.clear();
  begun_.clear();
  releases_.clear();
  for (Block& block : blocks_) block.warps.resize((threads_of_block + kLanes - 1) / kLanes);
  now = {first_, first_, first_, first_, first_};
}

void Ordering::begin_block(unsigned slot, const Index& index) {
  if (slot >= blocks_.size()) {
    const std::size_t warps = blocks_.empty() ? 1024 / kLanes : blocks_[0].warps.size();
    blocks_.resize(slot + 1);
    for (Block& block : blocks_) block.warps.resize(warps);
  }
  Block& block = blocks_[slot];
  block.barrier = next_;
  block.begun = static_cast<std::uint32_t>(begun_.size());
  for (Warp& warp : block.warps) {
    warp.all = next_;
    warp.known.clear();
  }
  if (!block.fenced.empty()) block.fenced.clear();
  block.known = {};
  begun_.push_back({next_, index});
  if (!cooperative_) {
    now.shared_begin = next_;
    now.block_begin = next_;
    now.barrier = next_;
  }
}

void Ordering::new_segment() {
  owners_.push_back(slot_ << kThreadBits | here_.thread);
  now.segment = next_++;
}

void Ordering::enter(unsigned slot, unsigned thread) {
  slot_ = slot;
  here_ = {blocks_[slot].begun, thread};
  new_segment();
}

// Barriers. A released thread begins a segment, so every segment below next_ has ended or is ending
// at this barrier for the threads that take part.

void Ordering::block_barrier(unsigned slot) {
  Block& block = blocks_[slot];
  block.barrier = next_;
  if (!cooperative_) now.barrier = next_;
  for (auto& [thread, fenced] : block.fenced) {
    if (fenced.known != nullptr) block.known.add(*fenced.known);
    fenced.known.reset();
  }
}

void Ordering::grid_barrier() {
  now.launch_begin = next_;
  now.shared_begin = next_;
}

void Ordering::warp_barrier(unsigned slot, unsigned warp_index, unsigned mask) {
  Block& block = blocks_[slot];
  Warp& warp = block.warps[warp_index];
  if (!block.fenced.empty()) share_known(block, warp_index * kLanes, mask);
  if (mask == 0xFFFFFFFFu) {
    warp.all = next_;
    warp.known.clear();
    return;
  }
  if (warp.known.empty()) warp.known.assign(std::size_t{kLanes} * kLanes, warp.all);
  Segment joined[kLanes] = {};
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    for (unsigned other = 0; other < kLanes; ++other) {
      raise_to(joined[other], warp.known[lane * kLanes + other]);
    }
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) != 0) joined[lane] = next_;
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) != 0) std::copy_n(joined, kLanes, &warp.known[lane * kLanes]);
  }
}

void Ordering::share_known(Block& block, unsigned first_thread, unsigned mask) {
  Knowledge all;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const auto found = block.fenced.find(first_thread + lane);
    if ((mask >> lane & 1u) == 0 || found == block.fenced.end()) continue;
    if (found->second.known != nullptr) all.add(*found->second.known);
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    block.fenced[first_thread + lane].known = std::make_unique<Knowledge>(all);
  }
}

// Fences and atomics: what a thread knew at a fence passes, through an atomic operation behind that
// fence, to every thread whose later atomic operation on the same address is followed by a fence.

void Ordering::fence() {
  new_segment();  // what follows the fence is not released by it
  Block& block = blocks_[slot_];
  Fenced& fenced = block.fenced[here_.thread];
  if (fenced.seen != nullptr) {
    if (fenced.known == nullptr) fenced.known = std::make_unique<Knowledge>();
    fenced.known->add(*fenced.seen);
    fenced.seen.reset();
  }
  auto released = std::make_unique<Knowledge>(block.known);
  if (fenced.known != nullptr) released->add(*fenced.known);
  released->add_block(here_.block, block.barrier);
  const unsigned own = here_.thread % kLanes;
  const Warp& warp = block.warps[here_.thread / kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const Segment known = warp.known.empty() ? warp.all : warp.known[own * kLanes + lane];
    released->add_thread({here_.block, here_.thread - own + lane}, known);
  }
  released->add_thread(here_, now.segment);
  fenced.released = std::move(released);
}

void Ordering::atomic(std::uintptr_t address) {
  Block& block = blocks_[slot_];
  const auto released = releases_.find(address);
  const auto own = block.fenced.find(here_.thread);
  const bool releases = own != block.fenced.end() && own->second.released != nullptr;
  if (released != releases_.end()) {
    Fenced& fenced = block.fenced[here_.thread];
    if (fenced.seen == nullptr) fenced.seen = std::make_unique<Knowledge>();
    fenced.seen->add(released->second);
  }
  if (releases) releases_[address].add(*block.fenced[here_.thread].released);
}

Place Ordering::place_of(Segment segment) const {
  const std::uint32_t owner = owners_[segment - first_];
  const std::uint32_t thread = owner & ((1u << kThreadBits) - 1);
  if (cooperative_) return {blocks_[owner >> kThreadBits].begun, thread};
  if (segment >= now.block_begin) return {here_.block, thread};
  const auto after = std::ranges::upper_bound(begun_, segment, {}, &Begun::first);
  return {static_cast<std::uint32_t>(after - begun_.begin() - 1), thread};
}

bool Ordering::happened_before(Segment segment) const {
  const Place place = place_of(segment);
  if (place == here_) return true;
  const Block& block = blocks_[slot_];
  if (place.block == here_.block) {
    if (segment < block.barrier) return true;
    if (place.thread / kLanes == here_.thread / kLanes) {
      const Warp& warp = block.warps[here_.thread / kLanes];
      if (segment < warp.all) return true;
      const std::size_t pair = std::size_t{here_.thread % kLanes} * kLanes + place.thread % kLanes;
      if (!warp.known.empty() && segment < warp.known[pair]) return true;
    }
  }
  const auto fenced = block.fenced.find(here_.thread);
  if (fenced != block.fenced.end() && fenced->second.known != nullptr &&
      fenced->second.known->covers(place, segment)) {
    return true;
  }
  return block.known.covers(place, segment);
}

}  // namespace batchwise::emulation
