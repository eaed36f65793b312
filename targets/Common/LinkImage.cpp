#include "targets/Common/LinkImage.h"

#include "targets/Common/RunProgram.h"

#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {
namespace {

using Elf = llvm::object::ELF64LE;

// A file in the temporary directory that goes away with its owner, and by signals.
class TemporaryFile {
public:
  static llvm::Expected<TemporaryFile> create(llvm::StringRef suffix) {
    for (int attempt = 0;; ++attempt) {
      llvm::SmallString<128> path;
      int descriptor = -1;
      std::error_code code =
          llvm::sys::fs::getPotentiallyUniqueTempFileName("gcompile", suffix, path);
      // Known to the handlers before it exists.
      if (!code && !llvm::sys::RemoveFileOnSignal(path))
        code = llvm::sys::fs::openFileForWrite(path, descriptor, llvm::sys::fs::CD_CreateNew);
      if (!code) {
        llvm::sys::fs::file_t file = descriptor;
        (void)llvm::sys::fs::closeFile(file);
        return TemporaryFile(path.str().str());
      }
      llvm::sys::DontRemoveFileOnSignal(path);
      if (code != std::errc::file_exists || attempt == 100)
        return llvm::createStringError(code, "cannot create a temporary file: " + code.message() +
                                                 "; set TMPDIR to a folder that can be written");
    }
  }
  TemporaryFile(TemporaryFile &&other) : path(std::exchange(other.path, {})) {}
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() {
    if (path.empty())
      return;
    llvm::sys::fs::remove(path);
    llvm::sys::DontRemoveFileOnSignal(path);
  }
  llvm::StringRef name() const { return path; }

  llvm::Error write(llvm::StringRef bytes) const {
    std::error_code code;
    llvm::raw_fd_ostream stream(path, code);
    if (!code) {
      stream << bytes;
      stream.close();
      code = stream.error();
      stream.clear_error();
    }
    if (code)
      return llvm::createStringError(code, "cannot write '" + path + "': " + code.message() +
                                               "; set TMPDIR to a folder with more room");
    return llvm::Error::success();
  }
  std::string read() const {
    auto buffer = llvm::MemoryBuffer::getFile(path);
    return buffer ? (*buffer)->getBuffer().str() : std::string();
  }

private:
  explicit TemporaryFile(std::string path) : path(std::move(path)) {}
  std::string path;
};

llvm::Error refuse(const llvm::Twine &what) {
  return llvm::createStringError("linked image " + what);
}

llvm::Error checkSections(const llvm::object::ELFFile<Elf> &file) {
  auto sections = file.sections();
  if (!sections)
    return sections.takeError();
  for (const Elf::Shdr &section : *sections) {
    bool isLoaded = section.sh_flags & llvm::ELF::SHF_ALLOC;
    if ((section.sh_type == llvm::ELF::SHT_REL || section.sh_type == llvm::ELF::SHT_RELA ||
         section.sh_type == llvm::ELF::SHT_RELR) &&
        section.sh_size)
      return refuse("needs relocations; code must address its constants relative to itself");
    if (isLoaded && (section.sh_flags & llvm::ELF::SHF_WRITE) && section.sh_size) {
      auto name = file.getSectionName(section);
      std::string text = name ? name->str() : "?";
      if (!name)
        llvm::consumeError(name.takeError());
      return refuse("has writable data in section '" + text + "'");
    }
  }
  return llvm::Error::success();
}

llvm::Expected<CodeImage> flatten(llvm::StringRef bytes, llvm::ArrayRef<std::string> exports) {
  auto file = llvm::object::ELFFile<Elf>::create(bytes);
  if (!file)
    return file.takeError();
  if (llvm::Error error = checkSections(*file))
    return error;

  CodeImage image;
  auto headers = file->program_headers();
  if (!headers)
    return headers.takeError();
  constexpr uint64_t mostBytes = uint64_t(1) << 30;
  for (const Elf::Phdr &header : *headers) {
    if (header.p_type != llvm::ELF::PT_LOAD)
      continue;
    if (header.p_flags & llvm::ELF::PF_W)
      return refuse("has a writable segment");
    if (header.p_offset + header.p_filesz > bytes.size() || header.p_vaddr > mostBytes ||
        header.p_memsz > mostBytes || header.p_filesz > header.p_memsz)
      return refuse("has a segment outside its file");
    image.bytes.resize(std::max<uint64_t>(image.bytes.size(), header.p_vaddr + header.p_memsz));
    std::copy_n(bytes.bytes_begin() + header.p_offset, header.p_filesz,
                image.bytes.begin() + header.p_vaddr);
  }

  auto sections = file->sections();
  if (!sections)
    return sections.takeError();
  for (const Elf::Shdr &section : *sections) {
    if (section.sh_type != llvm::ELF::SHT_DYNSYM)
      continue;
    auto strings = file->getStringTableForSymtab(section);
    auto symbols = file->symbols(&section);
    if (!strings)
      return strings.takeError();
    if (!symbols)
      return symbols.takeError();
    for (const Elf::Sym &symbol : symbols->drop_front()) {
      auto name = symbol.getName(*strings);
      if (!name)
        return name.takeError();
      if (symbol.isUndefined())
        return refuse("does not define '" + name->str() + "'");
      image.symbols[name->str()] = symbol.st_value;
    }
  }
  for (const std::string &name : exports) {
    auto found = image.symbols.find(name);
    if (found == image.symbols.end() || found->second >= image.bytes.size())
      return refuse("lacks the export '" + name + "'");
  }
  return image;
}

} // namespace

llvm::Expected<std::string> findLinker() {
  for (llvm::StringRef name : {"ld.lld", "ld.lld-22"}) {
    if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name, {GC_LLVM_TOOLS_DIR}))
      return *path;
  }
  for (llvm::StringRef name : {"ld.lld-22", "ld.lld"})
    if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name))
      return *path;
  return llvm::createStringError("ld.lld was found neither beside LLVM's tools nor in PATH; "
                                 "install lld-22");
}

llvm::Expected<CodeImage> linkImage(llvm::StringRef object, llvm::ArrayRef<std::string> exports) {
  auto linker = findLinker();
  if (!linker)
    return linker.takeError();
  auto input = TemporaryFile::create("o");
  auto output = input ? TemporaryFile::create("so") : std::move(input);
  if (!output)
    return output.takeError();
  auto messages = TemporaryFile::create("txt");
  if (!messages)
    return messages.takeError();
  if (llvm::Error error = input->write(object))
    return error;

  // One segment without write permission: constants beside the code, the dynamic section too.
  llvm::StringRef arguments[] = {
      *linker,     "-shared",      "--no-undefined",     "--no-rosegment",    "-z",
      "rodynamic", "-z",           "max-page-size=4096", "--hash-style=sysv", "--build-id=none",
      "-o",        output->name(), input->name()};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), messages->name(),
                                                messages->name()};
  std::string why;
  int status = runProgram(*linker, arguments, redirects, why);
  if (status != 0)
    return llvm::createStringError("'" + *linker + "' failed: " + why + messages->read());
  std::string linked = output->read();
  if (linked.empty())
    return llvm::createStringError("'" + *linker + "' wrote nothing to '" + output->name() + "'");
  return flatten(linked, exports);
}

} // namespace gcompile
