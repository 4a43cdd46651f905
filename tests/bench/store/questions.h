// How long the usual questions take, as the HTTP API answers them: the store, and the answer's
// JSON.
#ifndef TOKENWATCH_TESTS_BENCH_STORE_QUESTIONS_H_
#define TOKENWATCH_TESTS_BENCH_STORE_QUESTIONS_H_

#include <string>

#include "collector/store/store.h"

namespace tokenwatch {

// Asks each `runs` times and prints median and worst with the aim, and the mean CPU time. A part of
// its name chooses among the questions; empty: all. Ends the program where one cannot be answered.
void AskQuestions(Store* store, int runs, const std::string& only);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_STORE_QUESTIONS_H_
