// Root's rights, put down while a command works in a directory of another user.
#ifndef TOKENWATCH_COLLECTOR_ENROL_OWNER_RIGHTS_H_
#define TOKENWATCH_COLLECTOR_ENROL_OWNER_RIGHTS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

// An operator runs commands as root in the data directory of the collector's user, who could have
// put links there to what only root may touch. With that user's own rights they lead nowhere new.
// Effective ids are the whole process': for programs of one thread.
class OwnerRights {
 public:
  // From now on this process acts as the owner of `directory`, where it is root and the owner is
  // not; changes nothing otherwise, nor where there is no such directory yet.
  static absl::StatusOr<std::unique_ptr<OwnerRights>> TakeOn(const std::string& directory);
  ~OwnerRights();  // root again
  OwnerRights(const OwnerRights&) = delete;
  OwnerRights& operator=(const OwnerRights&) = delete;

  // What `work` returns, run with the rights that the process was started with: for files that go
  // elsewhere.
  template <typename Work>
  auto AsCaller(const Work& work) {
    const Caller caller(this);
    return work();
  }

 private:
  class Caller {
   public:
    explicit Caller(OwnerRights* rights) : rights_(rights) { rights_->PutDown(); }
    ~Caller() { rights_->Take(); }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

   private:
    OwnerRights* const rights_;
  };

  OwnerRights() = default;
  bool TryTake();
  void Take();
  void PutDown();

  bool other_ = false;  // somebody else's directory
  uid_t user_ = 0;
  gid_t group_ = 0, own_group_ = 0;
  std::vector<gid_t> own_groups_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_OWNER_RIGHTS_H_
