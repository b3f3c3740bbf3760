// A thin C++11 wrapper that owns its plan, and a step of training with two such layers.

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "dropblock.h"

// What the library refuses becomes an exception with its message.
class Error : public std::runtime_error {
public:
    explicit Error(const dropblock_error &error)
        : std::runtime_error(text(error)), status(error.status) {}

    const dropblock_status status;

private:
    static std::string text(const dropblock_error &error) {
        std::string text(dropblock_error_message(&error, nullptr, 0) + 1, '\0');
        dropblock_error_message(&error, &text[0], text.size());
        text.pop_back();
        return text;
    }
};

template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
    dropblock_error error;
    if (function(arguments..., &error) != DROPBLOCK_OK)
        throw Error(error);
}

// The number of a type, so that a tensor cannot be passed as another.
template <class T> struct Type;
template <> struct Type<float> {
    static const dropblock_type number = DROPBLOCK_TYPE_F32;
};
template <> struct Type<double> {
    static const dropblock_type number = DROPBLOCK_TYPE_F64;
};

// A layer for one shape. The plan lies inside and holds no pointer: copies and moves are plain.
class Layer {
public:
    Layer(const dropblock_options &options, const dropblock_shape &shape, std::uint64_t number)
        : number_(number) {
        dropblock_plan *plan;
        call(dropblock_plan_init, static_cast<void *>(&memory_), sizeof memory_, &options, &shape,
             &plan);
    }

    std::size_t size() const { return dropblock_plan_elements(plan()); }

    // In place. Returns what the backward pass needs.
    template <class T> dropblock_drawn forward(std::uint64_t step, std::vector<T> &x) const {
        dropblock_drawn drawn = {{2024, step, number_, 0}, DROPBLOCK_NO_COUNT};
        const dropblock_tensor in = tensor(x);
        call(dropblock_forward, plan(), &drawn, &in, &in, &drawn);
        return drawn;
    }

    template <class T> void backward(const dropblock_drawn &drawn, std::vector<T> &dy) const {
        const dropblock_tensor in = tensor(dy);
        call(dropblock_backward, plan(), &drawn, &in, &in);
    }

private:
    template <class T> static dropblock_tensor tensor(std::vector<T> &x) {
        const dropblock_tensor tensor = {Type<T>::number, 0, x.data(), x.size(), 0, nullptr};
        return tensor;
    }

    const dropblock_plan *plan() const {
        return reinterpret_cast<const dropblock_plan *>(&memory_);
    }

    dropblock_plan_memory memory_;
    std::uint64_t number_;
};

int main() {
    try {
        dropblock_options options;
        call(dropblock_options_init, &options, sizeof options, std::size_t(7), 0.1);
        options.gamma.kind = DROPBLOCK_GAMMA_EXACT;
        dropblock_shape first, last;
        dropblock_shape_nchw(&first, 2, 8, 14, 14);
        dropblock_shape_nhwc(&last, 2, 14, 14, 8);
        const std::vector<Layer> layers = {Layer(options, first, 0), Layer(options, last, 1)};

        for (const Layer &layer : layers) {
            std::vector<double> x(layer.size(), 1), dy(layer.size(), 1);
            const dropblock_drawn drawn = layer.forward(17, x);
            layer.backward(drawn, dy);
            if (x != dy)
                return 1;
            std::printf("%llu of %llu units dropped\n",
                        static_cast<unsigned long long>(drawn.count.dropped),
                        static_cast<unsigned long long>(drawn.count.total));
        }

        std::vector<float> wrong(3);
        try {
            layers[0].forward(17, wrong);
            return 1;
        } catch (const Error &error) {
            std::printf("refused: %s\n", error.what());
            return error.status == DROPBLOCK_STATUS_LENGTH ? 0 : 1;
        }
    } catch (const Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
