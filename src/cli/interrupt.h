// Ctrl-C and SIGTERM as a count that a loop looks at. The handler sets a flag
// and does no more.
#ifndef VARALIGN_CLI_INTERRUPT_H_
#define VARALIGN_CLI_INTERRUPT_H_

namespace varalign::cli {

// From now on SIGINT and SIGTERM are counted instead of ending the process.
void CatchInterrupts();

int InterruptCount();

// The first signal that came; 0: none.
int InterruptSignal();

}  // namespace varalign::cli

#endif  // VARALIGN_CLI_INTERRUPT_H_
