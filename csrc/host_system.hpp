// What the system says of this computer.
#pragma once

#include <fstream>
#include <string>

namespace lightbound::host {

// Of the last cache that the first core has; where the system does not say, more than a core has of any.
inline double last_cache_bytes() {
    double kilobytes = 0.0;
    for (const char* index : {"2", "3"}) {
        std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::string(index) + "/size");
        file >> kilobytes;  // "32768K"
    }
    return kilobytes > 0.0 ? 1024 * kilobytes : 64.0 * 1024 * 1024;
}

}  // namespace lightbound::host
