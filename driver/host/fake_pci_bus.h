// A host's PCI devices as files of a directory, for tests: what is written is done as the kernel would do it.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "driver/host/pci_bus.h"

namespace warren::driver::host {

class FakePciBus final : public PciBus {
 public:
  explicit FakePciBus(std::filesystem::path root) : PciBus(root), root_(std::move(root)) {
    namespace fs = std::filesystem;
    fs::create_directories(root_ / "sys/bus/pci/devices");
    fs::create_directories(root_ / "sys/bus/pci/drivers/vfio-pci");
    fs::create_directories(root_ / "sys/kernel/iommu_groups");
    fs::create_directories(root_ / "dev/vfio");
    std::ofstream(root_ / "dev/vfio/vfio").close();
  }

  // `native`: what drives it by itself; empty: nothing.
  void add(const std::string& address, unsigned group, const std::string& native,
           const std::string& code = "0x020000") {
    namespace fs = std::filesystem;
    native_[address] = native;
    const fs::path device = root_ / "sys/bus/pci/devices" / address;
    if (fs::exists(device)) return;  // an earlier object's, as it left it
    const fs::path members = root_ / "sys/kernel/iommu_groups" / std::to_string(group) / "devices";
    fs::create_directories(device);
    fs::create_directories(members);
    std::ofstream(device / "class") << code << "\n";
    std::ofstream(device / "driver_override") << "(null)\n";
    fs::create_directory_symlink(members.parent_path(), device / "iommu_group");
    fs::create_directory_symlink(device, members / address);
    std::ofstream(root_ / "dev/vfio" / std::to_string(group)).close();
    if (!native.empty()) bind(address, native);
  }
  // `address` is function `index` of the network device `link` at `physical`.
  void add_function(const std::string& physical, const std::string& link, unsigned index,
                    const std::string& address) const {
    namespace fs = std::filesystem;
    const fs::path devices = root_ / "sys/bus/pci/devices";
    if (fs::exists(devices / address / "physfn")) return;
    fs::create_directories(devices / physical / "net" / link);
    fs::create_directory_symlink(devices / physical, devices / address / "physfn");
    fs::create_directory_symlink(devices / address, devices / physical / ("virtfn" + std::to_string(index)));
  }
  void bind(const std::string& address, const std::string& driver) {
    namespace fs = std::filesystem;
    const fs::path link = root_ / "sys/bus/pci/devices" / address / "driver";
    fs::remove(link);
    if (driver.empty()) return;
    fs::create_directories(root_ / "sys/bus/pci/drivers" / driver);
    fs::create_directory_symlink(root_ / "sys/bus/pci/drivers" / driver, link);
  }
  std::string driver(const std::string& address) const {
    std::error_code none;
    return std::filesystem::read_symlink(root_ / "sys/bus/pci/devices" / address / "driver", none).filename();
  }

  std::vector<std::string> written;  // "ATTRIBUTE TEXT", in order
  std::set<std::string> stubborn;    // devices that vfio-pci refuses

 protected:
  void write(const std::filesystem::path& attribute, const std::string& text) override {
    const std::string name = attribute.filename();
    written.push_back(name + " " + text.substr(0, text.find('\n')));
    if (name == "driver_override") {
      overrides_[attribute.parent_path().filename()] = text == "\n" ? "" : text;
    } else if (name == "unbind") {
      bind(text, "");
    } else if (name == "drivers_probe") {
      const std::string& wanted = overrides_[text];
      if (wanted == kVfioDriver && stubborn.contains(text)) return;
      bind(text, wanted.empty() ? native_[text] : wanted);
    }
  }
  void load_module(const std::string&) const override {}

 private:
  const std::filesystem::path root_;
  std::map<std::string, std::string> native_, overrides_;
};

}  // namespace warren::driver::host
