// StandIn: NOT Enzyme. A pass that differentiates nothing.
//
// It exists so that the steps of `make enzyme` can be tested where Enzyme's source cannot be
// downloaded: LLVM found, CMake called, a plugin built and loaded by `opt`. It answers to the pass
// names that the plugin's command line has, and replaces a call of `__enzyme_autodiff*(f, x)` by
// x + x, whatever f is: the derivative of x², the one function it is ever given.
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/PassManager.h"
#include "llvm/Passes/PassBuilder.h"
#if __has_include("llvm/Plugins/PassPlugin.h")
#include "llvm/Plugins/PassPlugin.h"
#else
#include "llvm/Passes/PassPlugin.h"
#endif

using namespace llvm;

namespace {

struct StandIn : PassInfoMixin<StandIn> {
  PreservedAnalyses run(Module &module, ModuleAnalysisManager &) {
    SmallVector<CallInst *, 4> calls;
    for (Function &function : module)
      for (Instruction &instruction : instructions(function))
        if (auto *call = dyn_cast<CallInst>(&instruction))
          if (Function *callee = call->getCalledFunction())
            if (callee->getName().starts_with("__enzyme_autodiff"))
              calls.push_back(call);
    for (CallInst *call : calls) {
      errs() << "StandIn (not Enzyme): x + x in place of a derivative\n";
      Value *x = call->getArgOperand(1);
      call->replaceAllUsesWith(IRBuilder<>(call).CreateFAdd(x, x));
      call->eraseFromParent();
    }
    return calls.empty() ? PreservedAnalyses::all() : PreservedAnalyses::none();
  }
};

struct Nothing : PassInfoMixin<Nothing> {
  PreservedAnalyses run(Module &, ModuleAnalysisManager &) { return PreservedAnalyses::all(); }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "StandIn", "0", [](PassBuilder &builder) {
            builder.registerPipelineParsingCallback(
                [](StringRef name, ModulePassManager &passes, ArrayRef<PassBuilder::PipelineElement>) {
                  if (name == "enzyme")
                    passes.addPass(StandIn());
                  else if (name == "preserve-nvvm")
                    passes.addPass(Nothing());
                  else
                    return false;
                  return true;
                });
          }};
}
