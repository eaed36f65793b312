// Predicted speed: the terms of time as pure functions of a machine, a model's shape and decisions.
// Every estimate names the term that dominates and has an interval. docs/cost-model.md has the
// formulas, their sources and how well they predict.
#pragma once

#include "passes/Cost/DecodeTime.h"
#include "passes/Cost/Machine.h"
#include "passes/Cost/PrefillTime.h"
#include "passes/Cost/StorageTime.h"
