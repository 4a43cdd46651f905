#include "collector/cli/printer.h"

namespace tokenwatch {

bool Printer::Print(const std::vector<Json>& objects) {
  if (!objects.empty()) {
    if (options_.form == "json") {
      for (const Json& object : objects) PrintJson(object, out_);
    } else {
      const Table table = TableOf(kind_, objects);
      *out_ << (options_.form == "csv" ? table.Csv(heading_)
                                       : table.Text(options_.width, heading_));
      heading_ = false;
    }
  }
  out_->flush();
  return out_->good();
}

void Printer::Finish() {
  if (options_.form == "csv" && heading_) *out_ << Table(kind_.columns).Csv(true);
  heading_ = false;
  out_->flush();
}

void PrintJson(const Json& object, std::ostream* out) {
  *out << object.dump(-1, ' ', true, Json::error_handler_t::replace) << "\n";
}

}  // namespace tokenwatch
