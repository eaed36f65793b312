#!/usr/bin/env python3
"""Documentation test: every operation, attribute and pass in our .td files has a summary and a description.

check_reference_docs.py LLVM_TBLGEN SOURCE_FOLDER MLIR_INCLUDE_FOLDER
"""
import json
import os
import subprocess
import sys

FILES = {"ir/Gemma/GemmaOps.td": ("Op", "AttrDef", "TypeDef"), "ir/Kernel/KernelOps.td": ("Op", "AttrDef", "TypeDef"), "passes/Passes.td": ("PassBase",)}


def check(tablegen, root, include):
    faults, count = [], 0
    for name, kinds in FILES.items():
        if not os.path.exists(os.path.join(root, name)):
            continue
        text = subprocess.run([tablegen, "-dump-json", "-I", root, "-I", include, os.path.join(root, name)], check=True, capture_output=True, text=True).stdout
        records = json.loads(text)
        for kind in kinds:
            for record in records["!instanceof"].get(kind, []):
                value = records[record]
                if (kind in ("AttrDef", "TypeDef") or kind == "Op") and records.get((value.get("opDialect") or value.get("dialect") or {}).get("def"), {}).get("name") not in ("gemma", "kernel"):
                    continue
                if kind == "AttrDef" and "EnumAttr" in value.get("!superclasses", []):
                    continue
                count += 1
                for field in ("summary", "description"):
                    if not (value.get(field) or "").strip():
                        faults.append(f"{name}: {record} has no {field}")
    if count < 20:
        faults.append(f"only {count} records found, so little was checked")
    return faults, count


if __name__ == "__main__":
    faults, count = check(*sys.argv[1:4])
    print("\n".join(faults) if faults else f"{count} operations, attributes and passes are documented")
    sys.exit(1 if faults else 0)
