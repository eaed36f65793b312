// The style of report pages: light and dark, wide and narrow, paper; no external resource.
#pragma once

namespace gcompile::html {
extern const char *const styleSheet;
} // namespace gcompile::html
