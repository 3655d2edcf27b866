#include "engine/version.h"

namespace batchwise {

std::string_view version() { return BATCHWISE_VERSION; }

}  // namespace batchwise
