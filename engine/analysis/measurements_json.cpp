// measurements.json: Measurements as JSON and back. Each struct's members are listed once, in
// for_each_field, and both directions go by that list.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "engine/analysis/measurements.h"
#include "engine/error.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

template <class Struct, class OfThatStruct>
concept SameStruct = std::is_same_v<std::remove_const_t<Struct>, OfThatStruct>;

void for_each_field(SameStruct<Estimate> auto& of, auto&& field) {
  field("value", of.value);
  field("low", of.low);
  field("high", of.high);
  field("count", of.count);
}

void for_each_field(SameStruct<PowerLaw> auto& of, auto&& field) {
  field("exponent", of.exponent);
  field("factor", of.factor);
}

void for_each_field(SameStruct<NoiseWindow> auto& of, auto&& field) {
  field("first_step", of.first_step);
  field("last_step", of.last_step);
  field("scale", of.scale);
}

void for_each_field(SameStruct<GradientStatistics> auto& of, auto&& field) {
  field("batch_size", of.batch_size);
  field("variance", of.variance);
  field("norm", of.norm);
  field("cosine", of.cosine);
}

void for_each_field(SameStruct<GradientStudy> auto& of, auto&& field) {
  field("samples", of.samples);
  field("full_norm", of.full_norm);
  field("batches", of.batches);
  field("variance_law", of.variance_law);
  field("noise_scale", of.noise_scale);
}

void for_each_field(SameStruct<SharpnessResult> auto& of, auto&& field) {
  field("epsilon", of.epsilon);
  field("dimensions", of.dimensions);
  field("sharpness", of.sharpness);
  field("loss", of.loss);
  field("worst_loss", of.worst_loss);
  field("evaluations", of.evaluations);
}

void for_each_field(SameStruct<HessianResult> auto& of, auto&& field) {
  field("largest_eigenvalue", of.largest_eigenvalue);
  field("residual", of.residual);
  field("products", of.products);
}

void for_each_field(SameStruct<BatchNormNoise> auto& of, auto&& field) {
  field("batch_size", of.batch_size);
  field("layer", of.layer);
  field("mean_deviation", of.mean_deviation);
  field("variance_ratio", of.variance_ratio);
}

void for_each_field(SameStruct<BatchNormAccuracy> auto& of, auto&& field) {
  field("batch_size", of.batch_size);
  field("batch_statistics", of.batch_statistics);
  field("running_statistics", of.running_statistics);
}

void for_each_field(SameStruct<Measurements> auto& of, auto&& field) {
  field("noise_scale", of.noise_scale);
  field("noise_over_training", of.noise_over_training);
  field("gradients", of.gradients);
  field("sharpness", of.sharpness);
  field("hessian", of.hessian);
  field("batchnorm", of.batchnorm);
  field("batchnorm_accuracy", of.batchnorm_accuracy);
  field("batchnorm_accuracy_split", of.batchnorm_accuracy_split);
  field("samples", of.samples);
  field("failure", of.failure);
}

// Optional fields that are not there have no key.

Json json_of(double number) {
  if (std::isnan(number)) return nullptr;
  if (std::isinf(number)) return number > 0.0 ? "inf" : "-inf";
  return number;
}
Json json_of(int number) { return number; }
Json json_of(std::int64_t number) { return number; }
Json json_of(const std::string& text) { return text; }

template <class Struct>
Json json_of(const Struct& of);

template <class Item>
Json json_of(const std::vector<Item>& items) {
  Json array = Json::array();
  for (const Item& item : items) array.push_back(json_of(item));
  return array;
}

template <class Field>
void put(Json& object, const char* key, const Field& field) {
  object[key] = json_of(field);
}
template <class Field>
void put(Json& object, const char* key, const std::optional<Field>& field) {
  if (field) object[key] = json_of(*field);
}

template <class Struct>
Json json_of(const Struct& of) {
  Json object = Json::object();
  for_each_field(of, [&](const char* key, const auto& field) { put(object, key, field); });
  return object;
}

void read(const Json& json, double& number) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (json.is_null()) {
    number = std::numeric_limits<double>::quiet_NaN();
  } else if (json == "inf") {
    number = kInfinity;
  } else if (json == "-inf") {
    number = -kInfinity;
  } else if (json.is_number()) {
    number = json.get<double>();
  } else {
    throw InputError(fmt::format("expected a number, found {}", json.dump()));
  }
}

void read_integer(const Json& json, auto& number) {
  if (!json.is_number_integer()) {
    throw InputError(fmt::format("expected an integer, found {}", json.dump()));
  }
  json.get_to(number);
}
void read(const Json& json, int& number) { read_integer(json, number); }
void read(const Json& json, std::int64_t& number) { read_integer(json, number); }
void read(const Json& json, std::string& text) { json.get_to(text); }

template <class Struct>
void read(const Json& json, Struct& into);

template <class Item>
void read(const Json& json, std::vector<Item>& items) {
  if (!json.is_array()) {
    throw InputError(fmt::format("expected an array, found {}", json.dump()));
  }
  for (const Json& item : json) read(item, items.emplace_back());
}

template <class Field>
void take(const Json& object, const char* key, Field& field) {
  read(object.at(key), field);
}
template <class Field>
void take(const Json& object, const char* key, std::optional<Field>& field) {
  if (object.contains(key)) read(object.at(key), field.emplace());
}

template <class Struct>
void read(const Json& json, Struct& into) {
  for_each_field(into, [&](const char* key, auto& field) { take(json, key, field); });
}

}  // namespace

std::string to_json(const Measurements& measurements) {
  return json_of(measurements).dump(2) + "\n";
}

Measurements measurements_from_json(std::string_view text) {
  Measurements measurements;
  try {
    read(Json::parse(text), measurements);
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("not the JSON of measurements: {}", error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("not the JSON of measurements: {}", error.what()));
  }
  return measurements;
}

}  // namespace batchwise
