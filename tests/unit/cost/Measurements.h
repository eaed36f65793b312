// Reads tests/data/measurements/*.csv: plain comma-separated cells, one header line.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace gcompile::test {

using MeasurementRow = std::map<std::string, std::string>;

inline std::vector<std::string> cells(const std::string &line) {
  std::vector<std::string> out;
  std::stringstream stream(line);
  std::string cell;
  while (std::getline(stream, cell, ','))
    out.push_back(cell);
  return out;
}

inline std::vector<MeasurementRow> readMeasurements(const std::string &file) {
  std::ifstream stream(std::string(GC_TEST_DATA_DIR) + "/measurements/" + file);
  std::string line;
  std::getline(stream, line);
  std::vector<std::string> header = cells(line);
  std::vector<MeasurementRow> rows;
  while (std::getline(stream, line)) {
    std::vector<std::string> values = cells(line);
    MeasurementRow row;
    for (size_t i = 0; i < header.size() && i < values.size(); ++i)
      row[header[i]] = values[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace gcompile::test
