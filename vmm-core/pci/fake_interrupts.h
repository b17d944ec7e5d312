// Interrupt wires and messages that only remember, for tests of what interrupts.
#pragma once

#include <memory>
#include <vector>

#include "vmm-core/bus/interrupt.h"

namespace warren::vmm::pci {

class FakeLine final : public InterruptLine {
 public:
  explicit FakeLine(bool& asserted) : asserted_(asserted) {}
  void set(bool asserted) noexcept override { asserted_ = asserted; }

 private:
  bool& asserted_;
};

// Remembers the messages that were signalled, in their order.
class FakeMessages final : public MsiRouter {
 public:
  std::unique_ptr<MsiRoute> allocate() override { return std::make_unique<Route>(*this); }

  std::vector<MsiMessage> signalled;
  bool refuses = false;  // what set_message() answers

 private:
  class Route final : public MsiRoute {
   public:
    explicit Route(FakeMessages& owner) : owner_(owner) {}
    bool set_message(const MsiMessage& message) noexcept override {
      message_ = message;
      return !owner_.refuses;
    }
    void signal() noexcept override { owner_.signalled.push_back(message_); }
    int event_descriptor() const noexcept override { return -1; }
    void hold(bool) noexcept override {}
    bool is_waiting() const noexcept override { return false; }

   private:
    FakeMessages& owner_;
    MsiMessage message_;
  };
};

}  // namespace warren::vmm::pci
