#include "agent/capture/framing_table.h"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/capture/body_targets.h"

namespace tokenwatch {
namespace {

using Row = std::array<uint16_t, 256>;

bool IsDigit(int byte) { return byte >= '0' && byte <= '9'; }
bool IsHex(int byte) {
  return IsDigit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}
// A token (RFC 9110, 5.6.2): servers take methods that nobody registered.
bool IsMethodByte(int byte) {
  return byte > 0 && byte < 128 &&
         (std::isalnum(byte) != 0 || std::strchr("!#$%&'*+-.^_`|~", byte) != nullptr);
}
int Lower(int byte) { return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte; }

uint16_t To(int state, int actions = 0) { return static_cast<uint16_t>(actions << 8 | state); }
const uint16_t kBad = To(TW_STATE_BAD);

class Builder {
 public:
  Builder() : rows_(TW_STATES_KNOWN) {
    for (Row& row : rows_) row.fill(kBad);
    At(TW_STATE_REST).fill(To(TW_STATE_REST));  // any line that says nothing about framing
    At(TW_STATE_REST)['\n'] = To(TW_STATE_FIELDS);
    BuildFields(TW_STATE_REST);
    BuildRequest();
    BuildResponse();
    BuildChunk();
  }

  FramingTable Build() const {
    FramingTable table;
    // Bytes that every state treats alike are one class.
    std::map<std::vector<uint16_t>, int> classes;
    for (int byte = 0; byte < 256; ++byte) {
      std::vector<uint16_t> column;
      for (const Row& row : rows_) column.push_back(row[byte]);
      const int number = classes.emplace(column, static_cast<int>(classes.size())).first->second;
      if (number >= TW_CLASSES || rows_.size() > TW_STATES) std::abort();
      table.classes[byte] = static_cast<uint8_t>(number);
      for (size_t state = 0; state < rows_.size(); ++state) {
        table.transitions[state * TW_CLASSES + number] = rows_[state][byte];
      }
    }
    return table;
  }

 private:
  Row& At(int state) { return rows_[state]; }

  int AddState(uint16_t otherwise) {
    rows_.emplace_back().fill(otherwise);
    return static_cast<int>(rows_.size()) - 1;
  }

  // States that spell `text` from `from` on, without regard to case; a byte that does not fit goes
  // to `rest`. Returns the state behind the last character.
  int Spell(int from, std::string_view text, int rest) {
    int state = from;
    for (const char c : text) {
      const int next = AddState(To(rest));
      At(next)['\n'] = To(TW_STATE_FIELDS);
      for (int byte = 0; byte < 256; ++byte) {
        if (Lower(byte) == c) At(state)[byte] = To(next);
      }
      state = next;
    }
    return state;
  }

  void BuildFields(int rest) {
    At(TW_STATE_FIELDS).fill(To(rest));
    At(TW_STATE_FIELDS)['\n'] = To(TW_STATE_END);
    const int return_seen = AddState(To(rest));
    At(TW_STATE_FIELDS)['\r'] = To(return_seen);
    At(return_seen)['\n'] = To(TW_STATE_END);

    // Behind a field that frames the message: a folded line (RFC 9112, 5.2) would go on with it,
    // and recipients differ in what they make of that.
    const int framed = AddState(0);

    const int length_value = AddState(0);
    At(length_value).fill(To(length_value));
    for (int byte = '0'; byte <= '9'; ++byte) {
      At(length_value)[byte] = To(length_value, TW_ACT_DIGIT);
    }
    At(length_value)[','] = To(rest);  // a list of equal lengths (RFC 9110, 8.6)
    At(length_value)['\n'] = To(framed);
    At(Spell(TW_STATE_FIELDS, "content-length", rest))[':'] =
        To(length_value, TW_ACT_RESET | TW_ACT_LENGTH);

    // The codings: chunked frames the message where it is the last one (RFC 9112, 6.1).
    const std::string_view chunked = "chunked";
    std::vector<int> matched;
    for (size_t i = 0; i <= chunked.size(); ++i) matched.push_back(AddState(0));
    for (size_t i = 0; i <= chunked.size(); ++i) {
      Row& row = At(matched[i]);
      row.fill(To(matched[0]));
      row['c'] = row['C'] = To(matched[1]);
      if (i < chunked.size()) {
        row[chunked[i]] = row[chunked[i] & ~0x20] = To(matched[i + 1]);
      } else {
        row[' '] = row['\t'] = To(matched[i]);
      }
      row['\r'] = To(matched[i]);
      row['\n'] = To(framed, i == chunked.size() ? TW_ACT_CHUNKED : 0);
    }
    At(Spell(TW_STATE_FIELDS, "transfer-encoding", rest))[':'] = To(matched[0]);
    // The value of Host begins with what tells a service apart whose calls all have one path.
    const int host_value = TW_STATE_HOST;
    At(host_value).fill(To(rest));
    At(host_value)[' '] = To(host_value);
    At(host_value)['\n'] = To(TW_STATE_FIELDS);
    std::map<std::string_view, int> begun = {{"", host_value}};  // by what was read of a host
    for (const std::string_view host : BodyHosts()) {
      for (size_t i = 0; i < host.size(); ++i) {
        const bool last = i + 1 == host.size();
        const std::string_view read = host.substr(0, i + 1);
        if (!last && !begun.contains(read)) {
          begun[read] = AddState(To(rest));
          At(begun[read])['\n'] = To(TW_STATE_FIELDS);
        }
        for (int byte = 0; byte < 256; ++byte) {
          if (Lower(byte) != host[i]) continue;
          At(begun[host.substr(0, i)])[byte] = last ? To(rest, TW_ACT_BODY) : To(begun[read]);
        }
      }
    }
    At(Spell(TW_STATE_FIELDS, "host", rest))[':'] = To(host_value);
    At(framed) = At(TW_STATE_FIELDS);
    At(framed)[' '] = At(framed)['\t'] = kBad;
  }

  // What may stand at a place of a target: a word, with the action of its last byte.
  struct Word {
    std::string text;
    int actions = 0;
  };

  // States that find every one of `words` in what follows `root` (Aho and Corasick, 1975), and the
  // version at the end of the line behind all of them.
  std::vector<int> FindWords(int root, std::vector<Word> words) {
    const std::string version = "HTTP/1.";
    words.push_back({version});
    std::map<std::string, int> states = {{"", root}};  // by what was read
    std::vector<std::string> order = {""};             // shorter ones first
    std::map<std::pair<std::string, char>, int> actions;
    for (size_t length = 1; length <= 64; ++length) {
      for (const Word& word : words) {
        if (word.text.size() < length) continue;
        const std::string read = word.text.substr(0, length);
        if (word.text.size() == length && word.actions != 0) {
          actions[{read.substr(0, length - 1), read.back()}] |= word.actions;
        }
        // Nothing follows the last byte of a word, but for the version's.
        if (word.text.size() == length && word.actions != 0) continue;
        if (states.contains(read)) continue;
        states[read] = AddState(0);
        order.push_back(read);
      }
    }
    std::vector<int> all;
    for (const std::string& read : order) {
      Row& row = At(states[read]);
      for (int byte = 0; byte < 256; ++byte) {
        // The longest end of what is read that a word begins with, and the words that end here.
        std::string end = read + static_cast<char>(byte);
        int action = 0;
        for (size_t cut = 0; cut < end.size(); ++cut) {
          const auto known = actions.find({end.substr(cut, end.size() - cut - 1), end.back()});
          if (known != actions.end()) action |= known->second;
        }
        while (!states.contains(end)) end.erase(0, 1);
        row[byte] = To(states[end], action);
      }
      row['\n'] = row['\r'] = kBad;
      all.push_back(states[read]);
    }
    const int minor = AddState(0);
    const int return_seen = AddState(kBad);
    for (int byte = '0'; byte <= '9'; ++byte) At(states[version])[byte] = To(minor);
    At(minor) = At(root);
    At(minor)['\r'] = To(return_seen);
    At(minor)['\n'] = At(return_seen)['\n'] = To(TW_STATE_FIELDS, TW_ACT_LINE);
    all.push_back(minor);
    return all;
  }

  // From behind the blank that ends the method to the end of the line.
  void BuildTarget() {
    const auto words = [](absl::Span<const std::string_view> texts) {
      std::vector<Word> out;
      for (const std::string_view text : texts) {
        if (!text.ends_with('$')) {
          out.push_back({std::string(text), TW_ACT_BODY});
          continue;
        }
        for (const char end : {' ', '?'}) {
          out.push_back({std::string(text.substr(0, text.size() - 1)) + end, TW_ACT_BODY});
        }
      }
      return out;
    };
    const int query = AddState(0);
    FindWords(query, words(BodyQueryWords()));
    for (const int state : FindWords(TW_STATE_PATH, words(BodyPathWords()))) {
      At(state)['?'] = To(query, At(state)['?'] >> 8);
    }
  }

  // Methods are told apart only where framing depends on them.
  void BuildRequest() {
    BuildTarget();
    const int target = TW_STATE_PATH;
    const int method = AddState(kBad);
    const auto init = [&](int state) {
      At(state).fill(kBad);
      for (int byte = 0; byte < 256; ++byte) {
        if (IsMethodByte(byte)) At(state)[byte] = To(method);
      }
      if (state != TW_STATE_REQUEST) At(state)[' '] = To(target);
    };
    init(TW_STATE_REQUEST);
    init(method);
    const auto spell = [&](std::string_view text, uint16_t then, int known = 0) {
      int state = TW_STATE_REQUEST;
      for (const char c : text) {
        const int next = known != 0 ? known++ : AddState(0);
        init(next);
        At(state)[static_cast<uint8_t>(c)] = To(next);
        state = next;
      }
      At(state)[' '] = then;
    };
    spell("HEAD", To(target, TW_ACT_HEAD));
    spell("CONNECT", To(target, TW_ACT_CONNECT));
    spell("PRI", To(TW_STATE_HTTP2), TW_STATE_P);  // RFC 9113, 3.4
  }

  void BuildResponse() {
    int state = TW_STATE_RESPONSE;
    const auto then = [&](auto&& accepts, int actions) {
      const int next = AddState(kBad);
      for (int byte = 0; byte < 256; ++byte) {
        if (accepts(byte)) At(state)[byte] = To(next, actions);
      }
      state = next;
    };
    for (const char c : std::string_view("HTTP/1.")) {
      then([c](int byte) { return byte == c; }, 0);
    }
    then(IsDigit, 0);
    then([](int byte) { return byte == ' '; }, TW_ACT_RESET);
    then([](int byte) { return byte >= '1' && byte <= '9'; }, TW_ACT_DIGIT);
    then(IsDigit, TW_ACT_DIGIT);
    then(IsDigit, TW_ACT_DIGIT);
    const int reason = AddState(0);
    At(reason).fill(To(reason));
    At(reason)['\n'] = To(TW_STATE_FIELDS, TW_ACT_LINE);
    At(state)[' '] = At(state)['\r'] = To(reason);
    At(state)['\n'] = To(TW_STATE_FIELDS, TW_ACT_LINE);
  }

  void BuildChunk() {
    const uint16_t end = To(TW_STATE_END);
    const int digits = AddState(kBad);
    const int extension = AddState(0);
    const int return_seen = AddState(kBad);
    for (int byte = 0; byte < 256; ++byte) {
      if (!IsHex(byte)) continue;
      At(TW_STATE_CHUNK)[byte] = To(digits, TW_ACT_DIGIT);
      At(digits)[byte] = To(digits, TW_ACT_DIGIT);
    }
    At(digits)[';'] = At(digits)[' '] = At(digits)['\t'] = To(extension);
    At(digits)['\r'] = To(return_seen);
    At(digits)['\n'] = At(return_seen)['\n'] = end;
    At(extension).fill(To(extension));
    At(extension)['\n'] = end;
  }

  std::vector<Row> rows_;
};

}  // namespace

const FramingTable& GetFramingTable() {
  static const FramingTable table = Builder().Build();
  return table;
}

}  // namespace tokenwatch
