#include "engine/report/sweep_report.h"

#include "engine/report/html.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {

std::string sweep_report(const SweepResults& results) {
  return html_page(results.name.empty() ? "A sweep" : results.name,
                   sweep_headline(results) + batch_size_card(results) + accuracy_section(results) +
                       target_section(results) + speed_section(results) +
                       measured_section(results) + comparisons_section(results) +
                       cells_section(results) + classes_section(results) + repeat_section(results),
                   sort_script());
}

}  // namespace batchwise
