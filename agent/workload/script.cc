#include "agent/workload/script.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr InterpreterRow kInterpreters[] = {
    {.names = "python pypy",
     .code_letters = "chV",
     .value_letters = "WXQ",
     .module_letters = "m",
     .code_options = "--version --help --help-all --help-env --help-xoptions",
     .value_options = "--check-hash-based-pycs",
     .samples = {{
         {"/usr/bin/python3.11 -u -X dev script.py arg", "script.py"},
         {"/usr/bin/python3 -uXdev -W error /opt/a/b.py -c x", "/opt/a/b.py"},
         {"/usr/bin/python3 -m http.server 80", "-m http.server"},
         {"/usr/bin/python3 -umhttp.server", "-m http.server"},
         {"/usr/bin/python3 -m not/a/module", ""},
         {"/usr/bin/python3 -c print(1) script.py", ""},
         {"/usr/bin/python3 -Ic print(1)", ""},
         {"/usr/bin/python3 - script.py", ""},
         {"/usr/bin/python3 --check-hash-based-pycs always x", "x"},
         {"/usr/bin/python3", ""},
         {"/usr/bin/pypy3 tool", "tool"},
         {"/usr/bin/python-config script.py", ""},
     }}},
    {.names = "node nodejs",
     .code_letters = "ephv",
     .value_letters = "rC",
     .code_options = "--eval --print --version --help --test --run --v8-options --completion-bash "
                     "--build-sea --experimental-sea-config",
     .value_options =
         "--require --import --loader --experimental-loader --conditions --env-file "
         "--env-file-if-exists --title --input-type --icu-data-dir --openssl-config "
         "--max-http-header-size --redirect-warnings --dns-result-order --disable-warning "
         "--watch-path --diagnostic-dir --cpu-prof-dir --cpu-prof-name --heap-prof-dir "
         "--heap-prof-name --report-dir --report-directory --report-filename --report-signal "
         "--secure-heap --secure-heap-min --trace-event-categories --trace-event-file-pattern "
         "--trace-require-module --unhandled-rejections --use-largepages --tls-cipher-list "
         "--tls-keylog --tls-min-v1.0 --stack-trace-limit --localstorage-file "
         "--experimental-default-type --network-family-autoselection-attempt-timeout",
     .no_script = "inspect debug",
     .open_options = true,
     .samples = {{
         {"/usr/bin/node --flag=x --require y app.js", "app.js"},
         {"/usr/bin/node -r y --no-warnings --inspect ./bin/www --port 1", "./bin/www"},
         {"/usr/bin/node /srv/app", "/srv/app"},
         {"/usr/bin/node -- app.mjs", "app.mjs"},
         {"/usr/bin/node -e code app.js", ""},
         {"/usr/bin/node -pe code", ""},
         {"/usr/bin/node --eval=code app.js", ""},
         {"/usr/bin/node --new-option hunter2 app.js", ""},
         {"/usr/bin/node inspect app.js", ""},
         {"/usr/bin/nodejs - app.js", ""},
         {"/usr/bin/node", ""},
     }}},
    {.names = "ruby",
     .code_letters = "eh",
     .value_letters = "CEIXr",
     .attached_letters = "Fix",
     .partial_letters = "0KTW",
     .code_options = "--version --help --copyright",
     .value_options = "--encoding --external-encoding --internal-encoding --enable --disable",
     .samples = {{
         {"/usr/bin/ruby3.1 -w -I lib -r set app.rb x", "app.rb"},
         {"/usr/bin/ruby -Ilib -W0 --disable gems bin/rails server", "bin/rails"},
         {"/usr/bin/ruby -ne code", ""},
         {"/usr/bin/ruby -ecode app.rb", ""},
         {"/usr/bin/ruby -W0e code", ""},
     }}},
    {.names = "perl",
     .code_letters = "eEhvV",
     .value_letters = "I",
     .attached_letters = "DFMimx",
     .partial_letters = "Cd",
     .samples = {{
         {"/usr/bin/perl5.36.0 -w -T -I lib -MStrict /usr/sbin/tool -x", "/usr/sbin/tool"},
         {"/usr/bin/perl -i.bak tool.pl", "tool.pl"},
         {"/usr/bin/perl -lne code file", ""},
         {"/usr/bin/perl -Mvars -E code", ""},
         {"/usr/bin/perl -de 1", ""},
         {"/usr/bin/perl -CSDe code", ""},
         {"/usr/bin/perl -CSD -0777 -d:NYTProf tool.pl", "tool.pl"},
         {"/usr/bin/perl -CI tool.pl hunter2", "tool.pl"},
     }}},
    {.names = "php php-cgi",
     .code_letters = "BERSahilmrsvw",
     .value_letters = "bcdgtzT",
     .file_letters = "fF",
     .code_options = "--run --process-begin --process-code --process-end --server --interactive "
                     "--info --ini --rf --rc --re --rz --ri --version --help --syntax-check",
     .value_options = "--php-ini --define --docroot --bindpath --zend-extension",
     .file_options = "--file --process-file",
     .samples = {{
         {"/usr/bin/php8.2 -d memory_limit=1G artisan queue:work", "artisan"},
         {"/usr/bin/php -n -f job.php -- -x", "job.php"},
         {"/usr/bin/php -nfjob.php hunter2", "job.php"},
         {"/usr/bin/php --file=job.php hunter2", "job.php"},
         {"/usr/bin/php -dx=y -- job.php", "job.php"},
         {"/usr/bin/php -r code job.php", ""},
         {"/usr/bin/php -S 127.0.0.1:80 router.php", ""},
     }}},
    {.names = "sh bash rbash dash ash zsh ksh mksh",
     .code_letters = "cs",
     .value_letters = "oO",
     .code_options = "--version --help",
     .value_options = "--rcfile --init-file --emulate",
     .samples = {{
         {"/usr/bin/dash /usr/local/bin/backup now", "/usr/local/bin/backup"},
         {"/usr/bin/bash -eu -o pipefail deploy.sh prod", "deploy.sh"},
         {"/usr/bin/bash -euo pipefail +x --norc deploy", "deploy"},
         {"/usr/bin/bash -c command deploy.sh", ""},
         {"/usr/bin/bash -lc command", ""},
         {"/usr/bin/bash --login", ""},
         {"/usr/bin/bash -s argument", ""},
         {"/usr/bin/zsh -f run.zsh", "run.zsh"},
     }}},
    {.names = "java",
     .code_options = "-version --version -help --help -m --module",
     .value_options = "-cp -classpath --class-path -p --module-path --upgrade-module-path "
                      "--add-modules --add-exports --add-opens --add-reads --limit-modules",
     .file_options = "-jar",
     .open_options = true,
     .samples = {{
         {"/usr/lib/jvm/java-17/bin/java -Xmx1g -Da=b -jar /srv/app.jar --x", "/srv/app.jar"},
         {"/usr/bin/java -cp a:b -jar app.jar", "app.jar"},
         {"/usr/bin/java -cp a:b com.example.Main app.jar", ""},
         {"/usr/bin/java Tool.java", "Tool.java"},
         {"/usr/bin/java -m app/com.example.Main", ""},
     }}},
    {.names = "deno",
     .code_letters = "hV",
     .value_letters = "cL",
     .attached_letters = "r",
     .value_options = "--config --import-map --lock --cert --seed --location --log-level --preload",
     .skipped = "run serve",
     .no_script = "eval repl test task install fmt lint compile",
     .open_options = true,
     .samples = {{
         {"/usr/bin/deno run -A --allow-net=x --config c.json main.ts y", "main.ts"},
         {"/usr/bin/deno main.ts", "main.ts"},
         {"/usr/bin/deno run https://user:password@example.com/x.ts", ""},
         {"/usr/bin/deno eval code.ts", ""},
         {"/usr/bin/deno task start.ts", ""},
     }}},
    {.names = "bun",
     .code_letters = "ephv",
     .value_letters = "cdlr",
     .code_options = "--eval --print --version --help",
     .value_options = "--preload --require --import --cwd --config --port --env-file --define "
                      "--loader --conditions",
     .skipped = "run",
     .no_script = "x test install add build repl create",
     .open_options = true,
     .samples = {{
         {"/usr/bin/bun run --hot index.ts", "index.ts"},
         {"/usr/bin/bun ./server.js", "./server.js"},
         {"/usr/bin/bun run start", ""},
         {"/usr/bin/bun -e code index.ts", ""},
     }}},
};

constexpr std::string_view kScriptEndings[] = {".js",  ".mjs", ".cjs", ".ts",   ".mts", ".cts",
                                               ".jsx", ".tsx", ".jar", ".java", ".node"};

bool HasWord(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool IsVersionCharacter(unsigned char c) { return absl::ascii_isdigit(c) || c == '.'; }

const InterpreterRow* FindInterpreter(std::string_view exe) {
  const std::string_view file = FileName(exe);
  std::string_view name = file;
  while (!name.empty() && IsVersionCharacter(name.back())) name.remove_suffix(1);
  for (const InterpreterRow& row : kInterpreters) {
    if (HasWord(row.names, name)) return &row;
  }
  return nullptr;
}

bool LooksLikeScriptPath(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
         std::any_of(std::begin(kScriptEndings), std::end(kScriptEndings),
                     [text](std::string_view ending) { return text.ends_with(ending); });
}

bool IsModuleCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
}

Script Path(std::string_view text) {
  // A URL may hold a password or a token.
  if (text.find("://") != std::string_view::npos) return {};
  return {Script::Kind::kPath, text};
}

Script Module(std::string_view text) {
  if (!AllOf(text, IsModuleCharacter)) return {};
  return {Script::Kind::kModule, text};
}

// Takes arguments one by one.
class Arguments {
 public:
  Arguments(std::string_view area, bool cut) : rest_(area), cut_(cut) {}

  // False at the end, also where the next one is incomplete.
  bool Next(std::string_view* argument) {
    const size_t end = rest_.find('\0');
    if (rest_.empty() || (end == std::string_view::npos && cut_)) return false;
    *argument = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end, rest_.size() - 1) + 1);
    return true;
  }

  // What there is to say where an argument was needed.
  Script End() const { return {cut_ ? Script::Kind::kCut : Script::Kind::kNone, {}}; }

 private:
  std::string_view rest_;
  bool cut_;
};

enum class Step { kGoOn, kDone };

// Reads one argument of joined single-letter options.
Step ReadLetters(const InterpreterRow& row, std::string_view letters, Arguments* arguments,
                 Script* script) {
  for (size_t i = 0; i < letters.size(); ++i) {
    const char letter = letters[i];
    std::string_view value = letters.substr(i + 1);
    if (row.code_letters.find(letter) != std::string_view::npos) return Step::kDone;
    if (letter == '=' || row.attached_letters.find(letter) != std::string_view::npos) {
      return Step::kGoOn;
    }
    if (row.partial_letters.find(letter) != std::string_view::npos) {
      return value.find_first_of(row.code_letters) == std::string_view::npos ? Step::kGoOn
                                                                             : Step::kDone;
    }
    const bool module = row.module_letters.find(letter) != std::string_view::npos;
    const bool file = row.file_letters.find(letter) != std::string_view::npos;
    if (!module && !file && row.value_letters.find(letter) == std::string_view::npos) continue;
    if (value.empty() && !arguments->Next(&value)) {
      *script = arguments->End();
      return Step::kDone;
    }
    if (!module && !file) return Step::kGoOn;
    *script = module ? Module(value) : Path(value);
    return Step::kDone;
  }
  return Step::kGoOn;
}

// Reads one option with what belongs to it.
Step ReadOption(const InterpreterRow& row, std::string_view option, Arguments* arguments,
                Script* script) {
  const size_t equals = std::min(option.find('='), option.size());
  if (HasWord(row.code_options, option.substr(0, equals))) return Step::kDone;
  std::string_view value;
  if (HasWord(row.file_options, option.substr(0, equals))) {
    if (equals < option.size()) {
      *script = Path(option.substr(equals + 1));
    } else {
      *script = arguments->Next(&value) ? Path(value) : arguments->End();
    }
    return Step::kDone;
  }
  if (HasWord(row.value_options, option)) {
    if (arguments->Next(&value)) return Step::kGoOn;
    *script = arguments->End();
    return Step::kDone;
  }
  if (option.starts_with("--")) return Step::kGoOn;
  return ReadLetters(row, option.substr(1), arguments, script);
}

}  // namespace

absl::Span<const InterpreterRow> Interpreters() { return kInterpreters; }

Script FindScript(std::string_view exe, std::string_view arguments, bool cut) {
  const InterpreterRow* row = FindInterpreter(exe);
  if (row == nullptr) return {};
  Arguments rest(arguments, cut);
  std::string_view argument;
  Script script;
  if (!rest.Next(&argument)) return rest.End();
  bool options = true;
  while (rest.Next(&argument)) {
    if (argument.empty() || argument == "-") return {};
    if (options && argument == "--") {
      options = false;
    } else if (options && (argument.front() == '-' || argument.front() == '+')) {
      if (ReadOption(*row, argument, &rest, &script) == Step::kDone) return script;
    } else if (HasWord(row->no_script, argument)) {
      return {};
    } else if (!HasWord(row->skipped, argument)) {
      if (row->open_options && !LooksLikeScriptPath(argument)) return {};
      return Path(argument);
    }
  }
  return rest.End();
}

}  // namespace tokenwatch
